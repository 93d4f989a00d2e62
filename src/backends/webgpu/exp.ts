// y = e^x; dx = dy y.

import type { KernelSources } from './machine.ts'
import { EXP } from './math.ts'
import { unary } from './unary.ts'

export const expKernels: KernelSources = /* @__PURE__ */ unary('exp', 'exponential(v)', 'v', EXP)
