// The suite as a request handler: workerd.

import { lowrank } from './packages.mjs'
import { suite } from './suite.mjs'

export default {
  async fetch() {
    return Response.json(await suite(lowrank))
  },
}
