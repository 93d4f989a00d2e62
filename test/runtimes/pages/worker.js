// The suite in a web worker.

import * as lowrank from '/lowrank/dist/lowrank.browser.js'
import { suite } from '/suite.mjs'

suite(lowrank).then(
  result => postMessage(JSON.stringify(result)),
  error => postMessage(JSON.stringify({ error: String(error.stack ?? error) })),
)
