// y = a b, broadcast.

import { broadcast } from './broadcast.ts'
import type { KernelSources } from './machine.ts'

export const mulKernels: KernelSources = {
  mul: /* @__PURE__ */ broadcast('a b', 'a * b'),
}
