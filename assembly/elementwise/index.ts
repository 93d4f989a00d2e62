// Functions of single elements: a family of its own, so that an import of linear layers, losses and
// optimizers does not pay for it.

export { abs, abs_backward } from './abs'
export { erf, erf_backward } from './erf'
export { exp, exp_backward } from './exp'
export { gelu, gelu_backward, gelu_tanh, gelu_tanh_backward } from './gelu'
export { log, log_backward } from './log'
export { neg } from './neg'
export { pow, pow_backward_a, pow_backward_b } from './pow'
export { relu, relu_backward } from './relu'
export { rsqrt, rsqrt_backward } from './rsqrt'
export { sigmoid, sigmoid_backward } from './sigmoid'
export { silu, silu_backward } from './silu'
export { cos, sin } from './sin'
export { sqrt, sqrt_backward } from './sqrt'
export { tanh, tanh_backward } from './tanh'
