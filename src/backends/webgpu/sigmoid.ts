// y = 1 / (1 + e^−x); dx = dy y (1 − y).

import type { KernelSources } from './machine.ts'
import { LOGISTIC } from './math.ts'
import { unary } from './unary.ts'

export const sigmoidKernels: KernelSources = /* @__PURE__ */ unary(
  'sigmoid',
  'sigmoid(v)',
  'v * (1.0 - v)',
  LOGISTIC,
)
