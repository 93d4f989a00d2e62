// y = a / b, broadcast; db = −(dy / b)(a / b).

import { broadcast } from './broadcast.ts'
import type { KernelSources } from './machine.ts'

export const divKernels: KernelSources = {
  div: /* @__PURE__ */ broadcast('a b', 'a / b'),
  div_backward_b: /* @__PURE__ */ broadcast('dy a b', '-(dy / b) * (a / b)'),
}
