// y = tanh x; dx = dy (1 − y²).

import type { KernelSources } from './machine.ts'
import { TANGENT } from './math.ts'
import { unary } from './unary.ts'

export const tanhKernels: KernelSources = /* @__PURE__ */ unary(
  'tanh',
  'hyperbolic_tangent(v)',
  '1.0 - v * v',
  TANGENT,
)
