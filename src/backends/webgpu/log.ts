// y = log x; dx = dy / x.

import type { KernelSources } from './machine.ts'
import { LOG } from './math.ts'
import { unary } from './unary.ts'

export const logKernels: KernelSources = /* @__PURE__ */ unary(
  'log',
  'logarithm(v)',
  '1.0 / v',
  LOG,
)
