// Runs the suite where there is a console: prints the result as the last line.

import { lowrank } from './packages.mjs'
import { suite, useThreads } from './suite.mjs'

const threads = Number(globalThis.process?.argv[2] ?? 1)
const backend = threads > 1 ? await useThreads(lowrank, threads) : undefined
const result = await suite(lowrank)
console.log(JSON.stringify({ ...result, workerRows: backend?.computedByWorkers }))
