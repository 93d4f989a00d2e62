// y = a where the mask is 1, b where it is 0, broadcast.

import { broadcast } from './broadcast.ts'
import type { KernelSources } from './machine.ts'

export const whereKernels: KernelSources = {
  where: /* @__PURE__ */ broadcast('mask:i32 a b', 'select(a, b, mask == 0)'),
}
