// Gradients put into place by hand, for cases of what consumes them.

import type { Parameter } from '../../core/parameter.ts'

/** Writes `data` as the gradient of `parameter`. */
export function setGradient(parameter: Parameter, data: ArrayLike<number>): void {
  const { backend } = parameter
  const values = backend.precision === 64 ? Float64Array.from(data) : Float32Array.from(data)
  backend.write(parameter.gradient().buffer(), 'float32', values)
  parameter.hasGrad = true
}
