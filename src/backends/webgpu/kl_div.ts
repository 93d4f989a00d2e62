// Kullback–Leibler divergence, element by element; formulas: src/ops/kl_div.ts.

import { broadcast } from './broadcast.ts'
import type { KernelSources } from './machine.ts'
import { EXP, LOG } from './math.ts'

export const klDivKernels: KernelSources = {
  kl_div: /* @__PURE__ */ broadcast('v t', 'select(t * (logarithm(t) - v), 0.0, t == 0.0)', LOG),
  kl_div_backward: /* @__PURE__ */ broadcast('dy t', '-dy * t'),
  kl_div_backward_target: /* @__PURE__ */ broadcast(
    'dy v t',
    'select(dy * (logarithm(t) + 1.0 - v), 0.0, t == 0.0)',
    LOG,
  ),
  kl_div_log: /* @__PURE__ */ broadcast('v t', 'exponential(t) * (t - v)', EXP),
  kl_div_log_backward: /* @__PURE__ */ broadcast('dy t', '-dy * exponential(t)', EXP),
  kl_div_log_backward_target: /* @__PURE__ */ broadcast(
    'dy v t',
    'dy * exponential(t) * (t - v + 1.0)',
    EXP,
  ),
}
