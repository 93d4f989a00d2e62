// y = |x|; dx = dy sign(x), which is 0 at 0.

import type { KernelSources } from './machine.ts'
import { unary } from './unary.ts'

export const absKernels: KernelSources = /* @__PURE__ */ unary('abs', 'abs(v)', 'sign(v)')
