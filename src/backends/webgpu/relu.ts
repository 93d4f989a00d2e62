// y = max(x, 0), NaN where x is; dx = dy where y > 0, else 0.

import type { KernelSources } from './machine.ts'
import { BIT_TESTS } from './math.ts'
import { unary } from './unary.ts'

export const reluKernels: KernelSources = /* @__PURE__ */ unary(
  'relu',
  'select(max(v, 0.0), v, is_nan(v))',
  'select(0.0, 1.0, v > 0.0)',
  BIT_TESTS,
)
