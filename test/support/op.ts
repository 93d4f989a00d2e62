// One line per op: values, gradients against finite differences, parity of the backends, and that no
// byte stays behind.

import { expect } from 'vitest'
import { reference } from '../../src/backends/reference/index.ts'
import type { Backend } from '../../src/core/backend.ts'
import { withBackend } from '../../src/core/backend.ts'
import { type GradcheckOptions, gradcheck } from '../../src/core/gradcheck.ts'
import { Random } from '../../src/core/rng.ts'
import { backward, step } from '../../src/core/tape.ts'
import { type Tensor, tensor } from '../../src/core/tensor.ts'
import { backends } from './backends.ts'
import { scaledError } from './fixture.ts'

export interface OpInput {
  readonly shape: readonly number[]
  /** The elements; uniform in [low, high) if absent. */
  readonly data?: ArrayLike<number>
  readonly dtype?: 'float32' | 'int32'
  readonly low?: number
  readonly high?: number
  /** Whether it is differentiated; floats are by default. */
  readonly constant?: boolean
}

export interface OpCheck {
  readonly name: string
  readonly fn: (...inputs: Tensor[]) => Tensor
  readonly inputs: readonly OpInput[]
  /** What the op should give, where it is known by other means. */
  readonly want?: ArrayLike<number>
  readonly wantShape?: readonly number[]
  /** Scaled error allowed between wasm and reference; from the length of the sums involved. */
  readonly tolerance?: number
  readonly gradcheck?: GradcheckOptions | false
  readonly seed?: number
}

function elements(input: OpInput, random: Random): ArrayLike<number> {
  if (input.data) {
    return input.data
  }
  const { low = -1, high = 1 } = input
  const count = input.shape.reduce((product, size) => product * size, 1)
  // float32 numbers, so that every backend starts from the same ones.
  return Float32Array.from({ length: count }, () => low + (high - low) * random.uniform())
}

interface Outcome {
  readonly shape: readonly number[]
  readonly y: ArrayLike<number>
  readonly gradients: (ArrayLike<number> | undefined)[]
}

function differentiable(input: OpInput): boolean {
  return input.dtype !== 'int32' && !input.constant
}

function make(check: OpCheck, data: readonly ArrayLike<number>[]): Tensor[] {
  return check.inputs.map((input, i) =>
    tensor(data[i], input.shape, {
      dtype: input.dtype ?? 'float32',
      requiresGrad: differentiable(input),
    }),
  )
}

function outcomeOn(backend: Backend, check: OpCheck, data: readonly ArrayLike<number>[]): Outcome {
  return withBackend(backend, () => {
    const inputs = make(check, data)
    const random = new Random(check.seed ?? 1, 'dy')
    const y = step(() => {
      const result = check.fn(...inputs)
      if (result.requiresGrad) {
        const dy = Float32Array.from({ length: result.size }, () => random.uniform() * 2 - 1)
        backward(result, tensor(dy, result.shape))
      }
      return result
    })
    return {
      shape: y.shape,
      y: y.dataSync(),
      gradients: inputs.map(input => input.grad?.dataSync()),
    }
  })
}

/** Runs all checks of one case over every backend that is present. */
export function checkOp(check: OpCheck): void {
  const random = new Random(check.seed ?? 1, 'inputs')
  const data = check.inputs.map(input => elements(input, random))
  const exact = outcomeOn(reference(), check, data)
  if (check.wantShape) {
    expect(exact.shape, `${check.name}: shape`).toEqual(check.wantShape)
  }
  if (check.want) {
    expect(scaledError(exact.y, check.want), `${check.name}: values`).toBeLessThanOrEqual(1e-12)
  }
  const tolerance = check.tolerance ?? 4e-6
  for (const { name, make: makeBackend } of backends) {
    const backend = makeBackend()
    outcomeOn(backend, check, data)
    const before = backend.memory().used
    const got = outcomeOn(backend, check, data)
    expect(backend.memory().used, `${check.name} on ${name}: bytes in use`).toBe(before)
    expect(got.shape).toEqual(exact.shape)
    expect(scaledError(got.y, exact.y), `${check.name} on ${name}: y`).toBeLessThanOrEqual(
      tolerance,
    )
    exact.gradients.forEach((want, i) => {
      const gradient = got.gradients[i]
      expect(gradient === undefined, `${check.name}: gradient ${i} present`).toBe(
        want === undefined,
      )
      if (want && gradient) {
        const error = scaledError(gradient, want)
        expect(error, `${check.name} on ${name}: gradient ${i}`).toBeLessThanOrEqual(tolerance)
      }
    })
  }
  if (check.gradcheck !== false && exact.gradients.some(gradient => gradient !== undefined)) {
    const wrt = check.inputs.map((_, i) => i).filter(i => differentiable(check.inputs[i]))
    const report = withBackend(reference(), () =>
      gradcheck(check.fn, make(check, data), { wrt, ...check.gradcheck }),
    )
    expect(report.worst?.error ?? 0, `${check.name}: ${JSON.stringify(report.worst)}`).toBeLessThan(
      1,
    )
  }
}
