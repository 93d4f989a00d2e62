// Gradients put into place by hand, for tests of what consumes them.

export { setGradient } from '../../src/conformance/optim/gradient.ts'
