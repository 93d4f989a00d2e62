// y = a^b, broadcast; da = dy b a^(b−1), db = dy y log a.

import { broadcast } from './broadcast.ts'
import type { KernelSources } from './machine.ts'
import { POW } from './math.ts'

export const powKernels: KernelSources = {
  pow: /* @__PURE__ */ broadcast('a b', 'power(a, b)', POW),
  pow_backward_a: /* @__PURE__ */ broadcast(
    'dy a b',
    'dy * select(b * power(a, b - 1.0), 0.0, b == 0.0)',
    POW,
  ),
  pow_backward_b: /* @__PURE__ */ broadcast(
    'dy a b',
    'dy * select(power(a, b) * logarithm(a), 0.0, a == 0.0 && b >= 0.0)',
    POW,
  ),
}
