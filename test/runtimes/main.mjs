// Runs the suite where there is a console: prints the result as the last line.

import { lowrank } from './packages.mjs'
import { suite } from './suite.mjs'

const threads = Number(globalThis.process?.argv[2] ?? 1)
if (threads > 1) {
  lowrank.setBackend(lowrank.wasm({ threads }))
}
console.log(JSON.stringify(await suite(lowrank)))
