// The suite on a page, with the file for browsers and no bundler.

import * as lowrank from '/lowrank/dist/lowrank.browser.js'
import { suite, useThreads } from '/suite.mjs'

const threads = Number(new URLSearchParams(location.search).get('threads') ?? 1)

try {
  const backend = threads > 1 ? await useThreads(lowrank, threads) : undefined
  const result = await suite(lowrank)
  globalThis.result = JSON.stringify({ ...result, workerRows: backend?.computedByWorkers })
} catch (error) {
  globalThis.result = JSON.stringify({ error: String(error.stack ?? error) })
}
