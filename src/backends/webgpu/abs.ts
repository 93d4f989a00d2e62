// y = |x|; dx = dy sign(x), which is 0 at 0, NaN where x is.

import type { KernelSources } from './machine.ts'
import { BIT_TESTS } from './math.ts'
import { unary } from './unary.ts'

export const absKernels: KernelSources = /* @__PURE__ */ unary(
  'abs',
  'abs(v)',
  'select(sign(v), v, is_nan(v))',
  BIT_TESTS,
)
