// The suite as a request handler: edge-runtime, which refuses work outside one.

import { lowrank } from './packages.mjs'
import { suite } from './suite.mjs'

addEventListener('fetch', event => {
  event.respondWith(suite(lowrank).then(result => Response.json(result)))
})
