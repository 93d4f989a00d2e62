// y = erf x; dx = dy 2/√π e^(−x²).

import type { KernelSources } from './machine.ts'
import { ERROR_FUNCTION } from './math.ts'
import { unary } from './unary.ts'

export const erfKernels: KernelSources = /* @__PURE__ */ unary(
  'erf',
  'error_function(v)',
  '1.1283792 * exponential(-v * v)',
  ERROR_FUNCTION,
)
