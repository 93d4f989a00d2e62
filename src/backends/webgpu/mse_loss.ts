// (x − t)², broadcast; its gradient 2 dy (x − t).

import { broadcast } from './broadcast.ts'
import type { KernelSources } from './machine.ts'

export const mseLossKernels: KernelSources = {
  mse_loss: /* @__PURE__ */ broadcast('v t', '(v - t) * (v - t)'),
  mse_loss_backward: /* @__PURE__ */ broadcast('dy v t', '2.0 * dy * (v - t)'),
}
