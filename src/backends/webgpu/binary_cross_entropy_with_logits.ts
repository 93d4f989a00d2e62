// Binary cross-entropy of logits, element by element; formulas: src/ops/binary_cross_entropy_with_logits.ts.

import { broadcast } from './broadcast.ts'
import type { KernelSources } from './machine.ts'
import { SOFT } from './math.ts'

export const binaryCrossEntropyKernels: KernelSources = {
  binary_cross_entropy_with_logits: /* @__PURE__ */ broadcast(
    'v t w',
    '(1.0 - t) * softplus(v) + w * t * softplus(-v)',
    SOFT,
  ),
  binary_cross_entropy_with_logits_backward: /* @__PURE__ */ broadcast(
    'dy v t w',
    'dy * ((1.0 - t) * sigmoid(v) - w * t * sigmoid(-v))',
    SOFT,
  ),
  binary_cross_entropy_with_logits_backward_target: /* @__PURE__ */ broadcast(
    'dy v w',
    'dy * (w * softplus(-v) - softplus(v))',
    SOFT,
  ),
}
