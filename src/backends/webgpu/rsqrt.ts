// y = 1 / √x; dx = −dy y³ / 2.

import type { KernelSources } from './machine.ts'
import { unary } from './unary.ts'

export const rsqrtKernels: KernelSources = /* @__PURE__ */ unary(
  'rsqrt',
  '1.0 / sqrt(v)',
  '-0.5 * v * v * v',
)
