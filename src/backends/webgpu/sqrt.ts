// y = √x; dx = dy / (2 y).

import type { KernelSources } from './machine.ts'
import { unary } from './unary.ts'

export const sqrtKernels: KernelSources = /* @__PURE__ */ unary('sqrt', 'sqrt(v)', '0.5 / v')
