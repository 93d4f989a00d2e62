// The suite on a page, with the file for browsers and no bundler.

import * as lowrank from '/lowrank/dist/lowrank.browser.js'
import { suite } from '/suite.mjs'

const threads = Number(new URLSearchParams(location.search).get('threads') ?? 1)

try {
  if (threads > 1) {
    lowrank.setBackend(lowrank.wasm({ threads }))
  }
  globalThis.result = JSON.stringify(await suite(lowrank))
} catch (error) {
  globalThis.result = JSON.stringify({ error: String(error.stack ?? error) })
}
