// y = min(a, b), NaN where one is NaN, broadcast; equal operands share the gradient.

import { broadcast } from './broadcast.ts'
import type { KernelSources } from './machine.ts'
import { BIT_TESTS } from './math.ts'

export const minimumKernels: KernelSources = {
  minimum: /* @__PURE__ */ broadcast(
    'a b',
    'select(min(a, b), a + b, is_nan(a) || is_nan(b))',
    BIT_TESTS,
  ),
  minimum_backward: /* @__PURE__ */ broadcast(
    'dy a b',
    'select(select(0.0, 0.5 * dy, a == b), dy, a < b)',
  ),
}
