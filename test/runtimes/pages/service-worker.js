// The suite in a service worker, which answers a request with the result.

import * as lowrank from '/lowrank/dist/lowrank.browser.js'
import { suite } from '/suite.mjs'

addEventListener('activate', event => event.waitUntil(clients.claim()))
addEventListener('fetch', event => {
  if (new URL(event.request.url).pathname === '/suite-result') {
    event.respondWith(
      suite(lowrank).then(
        result => Response.json(result),
        error => Response.json({ error: String(error.stack ?? error) }),
      ),
    )
  }
})
