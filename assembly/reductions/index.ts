// Reductions beside the sum, and softmax: a family of its own, so that an import of linear layers, losses
// and optimizers does not pay for it.

export { amax_backward } from './amax'
export { argmax } from './argmax'
export { cumsum } from './cumsum'
export { gather, scatter_add } from './gather'
export { log_softmax, log_softmax_backward } from './log_softmax'
export { logsumexp, logsumexp_backward } from './logsumexp'
export { power_norm_add, power_norm_end } from './power_norm'
export { prod, prod_backward } from './prod'
export { softmax, softmax_backward } from './softmax'
export { sum_squares, sum_squares_backward } from './sum_squares'
