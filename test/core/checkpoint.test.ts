// Checkpointed parts of a model: the same bits as without, less memory at the peak, and the same draws.

import { describe, expect, it } from 'vitest'
import { withBackend } from '../../src/core/backend.ts'
import { checkpoint } from '../../src/core/checkpoint.ts'
import { Parameter } from '../../src/core/parameter.ts'
import { manualSeed, nextDraw } from '../../src/core/random_state.ts'
import { Random } from '../../src/core/rng.ts'
import { backward, noGrad, step } from '../../src/core/tape.ts'
import { type Tensor, tensor } from '../../src/core/tensor.ts'
import { add } from '../../src/ops/add.ts'
import { dropout } from '../../src/ops/dropout.ts'
import { linear } from '../../src/ops/linear.ts'
import { mul } from '../../src/ops/mul.ts'
import { reshape } from '../../src/ops/reshape.ts'
import { rmsNorm } from '../../src/ops/rms_norm.ts'
import { silu } from '../../src/ops/silu.ts'
import { sum } from '../../src/ops/sum.ts'
import { backends } from '../support/backends.ts'

const random = new Random(81, 'checkpoint')
const draws = (count: number): Float32Array =>
  Float32Array.from({ length: count }, () => random.uniform() * 2 - 1)

type Runner = (fn: (...inputs: Tensor[]) => Tensor, inputs: readonly Tensor[]) => Tensor

const plainly: Runner = (fn, inputs) => fn(...inputs)

describe.each(backends)('checkpoint on $name', ({ make }) => {
  const [rows, C, wide, layers] = [24, 16, 64, 5]
  const x = draws(rows * C)
  const weights = Array.from({ length: layers }, () => [draws(wide * C), draws(C * wide)])

  interface Outcome {
    readonly y: ArrayLike<number>
    readonly gradients: readonly ArrayLike<number>[]
    readonly peak: number
    readonly left: number
  }

  /** A stack of residual layers with dropout, each run by `run`. */
  function stack(run: Runner, trainX = true): Outcome {
    const backend = make()
    return withBackend(backend, () => {
      const input = tensor(x, [rows, C], { requiresGrad: trainX })
      const parameters = weights.map(([up, down]) => ({
        up: new Parameter(up, [wide, C]),
        down: new Parameter(down, [C, wide]),
      }))
      const layer =
        (i: number) =>
        (h: Tensor): Tensor => {
          const { up, down } = parameters[i]
          const inner = dropout(silu(linear(rmsNorm(h), up)), 0.25)
          return add(h, linear(inner, down))
        }
      const once = (): Tensor => {
        manualSeed(4)
        return step(() => {
          let h: Tensor = input
          for (let i = 0; i < layers; i++) {
            h = run(layer(i), [h])
          }
          backward(sum(mul(h, h)))
          return h
        })
      }
      once()
      const used = backend.memory().used
      for (const { up, down } of parameters) {
        up.clearGrad()
        down.clearGrad()
      }
      backend.resetPeak()
      const y = once()
      const trained = parameters.flatMap(({ up, down }) => [up, down])
      const gradients = [...(trainX ? [input] : []), ...trained].map(
        tensor => tensor.grad?.dataSync() ?? [],
      )
      const { peak } = backend.memory()
      return { y: y.dataSync(), gradients, peak: peak - used, left: backend.memory().used - used }
    })
  }

  it('gives the same bits, for inputs and parameters', () => {
    const want = stack(plainly)
    const got = stack(checkpoint)
    expect(got.y).toEqual(want.y)
    expect(got.gradients).toEqual(want.gradients)
    expect(want.gradients.every(gradient => Array.from(gradient).some(value => value !== 0))).toBe(
      true,
    )
  })

  it('needs less memory at the peak and leaves none behind', () => {
    const want = stack(plainly)
    const got = stack(checkpoint)
    // Three activations of [rows, wide] in each of the layers but one are gone.
    const elements = 3 * rows * wide * (layers - 1)
    expect(want.peak - got.peak).toBeGreaterThan(elements * 4 * 0.8)
    expect(got.left).toBe(0)
  })

  it('trains parameters where no input needs a gradient', () => {
    expect(stack(checkpoint, false).gradients).toEqual(stack(plainly, false).gradients)
  })

  it('nests', () => {
    const nested: Runner = (fn, inputs) =>
      checkpoint((...h) => checkpoint((...g) => checkpoint(fn, g), h), inputs)
    expect(stack(nested).gradients).toEqual(stack(plainly).gradients)
  })

  it('draws what would have been drawn, and no more', () => {
    const draw = (run: Runner): unknown =>
      withBackend(make(), () => {
        manualSeed(7)
        const h = tensor(draws(4), [4], { requiresGrad: true })
        step(() => backward(sum(run(z => dropout(dropout(z, 0.5), 0.5), [h]))))
        return nextDraw()
      })
    expect(draw(checkpoint)).toEqual(draw(plainly))
  })

  it('gives gradients of what the function uses from around it', () => {
    const run = (runner: Runner): readonly ArrayLike<number>[] =>
      withBackend(make(), () => {
        const a = tensor([1, 2, 3], [3], { requiresGrad: true })
        const b = tensor([4, 5, 6], [3], { requiresGrad: true })
        step(() => {
          const outside = mul(a, b)
          const y = runner(h => mul(mul(h, outside), add(outside, b)), [a])
          backward(sum(add(y, outside)))
        })
        return [a, b].map(tensor => tensor.grad?.dataSync() ?? [])
      })
    expect(run(checkpoint)).toEqual(run(plainly))
  })

  it('gives zeros to an input that is used to no effect', () => {
    withBackend(make(), () => {
      const a = tensor([1, 2], [2], { requiresGrad: true })
      const b = tensor([3, 4], [2], { requiresGrad: true })
      const c = tensor([5, 6], [2], { requiresGrad: true })
      step(() => {
        const lost = (x: Tensor, y: Tensor): Tensor => {
          mul(y, y)
          return mul(x, x)
        }
        backward(sum(checkpoint(lost, [a, mul(b, b), c])))
      })
      expect(Array.from(a.grad?.dataSync() ?? [])).toEqual([2, 4])
      expect(Array.from(b.grad?.dataSync() ?? [])).toEqual([0, 0])
      expect(c.grad).toBeUndefined()
    })
  })

  it('passes through what needs no gradient, what is only handed on, and views', () => {
    withBackend(make(), () => {
      const a = tensor([1, 2], [2], { requiresGrad: true })
      const still = tensor([3, 4], [2])
      step(() => {
        expect(checkpoint(h => h, [a])).toBe(a)
        expect(checkpoint(h => mul(h, h), [still]).requiresGrad).toBe(false)
        const view = checkpoint(h => reshape(h, [2, 1]), [mul(a, still)])
        backward(sum(mul(view, view)))
      })
      expect(Array.from(a.grad?.dataSync() ?? [])).toEqual([18, 64])
    })
  })

  it('is the function itself where nothing is recorded', () => {
    withBackend(make(), () => {
      const a = tensor([1, 2], [2], { requiresGrad: true })
      const square = (h: Tensor): Tensor => mul(h, h)
      expect(Array.from(checkpoint(square, [a]).dataSync())).toEqual([1, 4])
      step(() => {
        const y = noGrad(() => checkpoint(square, [a]))
        expect(y.requiresGrad).toBe(false)
      })
    })
  })

  it('takes parameters among its inputs', () => {
    withBackend(make(), () => {
      const w = new Parameter([1, 2], [2])
      const a = tensor([3, 4], [2], { requiresGrad: true })
      step(() => backward(sum(checkpoint((h, weight) => mul(h, weight), [a, w]))))
      expect(Array.from(a.grad?.dataSync() ?? [])).toEqual([1, 2])
      expect(Array.from(w.grad?.dataSync() ?? [])).toEqual([3, 4])
    })
  })
})
