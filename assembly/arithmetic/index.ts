// Arithmetic of two tensors that broadcast, and the choice between them: a family of its own, so that a
// sum does not pay for exponentials.

export { add } from './add'
export { div, div_backward_b } from './div'
export { maximum, maximum_backward } from './maximum'
export { minimum, minimum_backward } from './minimum'
export { mul } from './mul'
export { sub } from './sub'
export { where } from './where'
