// Numbers near the ends of float32 on the device: what WASM computes in float64 overflows and vanishes in
// the same places here. Wanted values are those of the reference; numbers below 2⁻¹²⁶ a device may take for
// zero, so that none is put in or expected.

import { beforeAll, describe, expect, it } from 'vitest'
import { reference } from '../../../src/backends/reference/index.ts'
import { type WebGpuBackend, webgpu } from '../../../src/backends/webgpu/index.ts'
import { type Backend, withBackend } from '../../../src/core/backend.ts'
import { Parameter } from '../../../src/core/parameter.ts'
import { backward, step } from '../../../src/core/tape.ts'
import { type Tensor, tensor } from '../../../src/core/tensor.ts'
import { abs } from '../../../src/ops/abs.ts'
import { layerNorm } from '../../../src/ops/layer_norm.ts'
import { mean } from '../../../src/ops/mean.ts'
import { mul } from '../../../src/ops/mul.ts'
import { norm } from '../../../src/ops/norm.ts'
import { pow } from '../../../src/ops/pow.ts'
import { rmsNorm } from '../../../src/ops/rms_norm.ts'
import { std } from '../../../src/ops/std.ts'
import { sum } from '../../../src/ops/sum.ts'
import { variance } from '../../../src/ops/variance.ts'
import { clipGradNorm } from '../../../src/optim/clip_grad_norm.ts'
import { SGD } from '../../../src/optim/sgd.ts'
import { countedGpu, hasDawn } from '../../support/webgpu/local.ts'

let device: WebGpuBackend

type Fn = (...inputs: Tensor[]) => Tensor

/** What `fn` gives of rows, and the gradients, as float32 numbers. */
async function outcome(
  backend: Backend,
  fn: Fn,
  inputs: readonly (readonly number[][])[],
  dy: number,
): Promise<Float32Array[]> {
  const [y, xs] = withBackend(backend, () => {
    const leaves = inputs.map(rows =>
      tensor(rows.flat(), [rows.length, rows[0].length], { requiresGrad: true }),
    )
    const result = step(() => {
      const made = fn(...leaves)
      backward(made, tensor(new Float32Array(made.size).fill(dy), made.shape))
      return made
    })
    return [result, leaves] as const
  })
  const gradients = xs.map(x => (x.grad as Tensor).data())
  return (await Promise.all([y.data(), ...gradients])).map(data => Float32Array.from(data))
}

/** A few roundings of each number; `noise` is what is rounding error in a sum that cancels. */
function expectClose(got: Float32Array, want: Float32Array, noise: number, where: string): void {
  want.forEach((value, i) => {
    const near = Math.abs(got[i] - value) <= 2 ** -18 * Math.abs(value) + noise
    expect(
      Object.is(got[i], value) || got[i] === value || near,
      `${where}[${i}]: ${got[i]}, not ${value}`,
    ).toBe(true)
  })
}

async function expectSame(fn: Fn, inputs: readonly (readonly number[][])[], dy = 1, noise = 0) {
  const got = await outcome(device, fn, inputs, dy)
  const want = await outcome(reference(), fn, inputs, dy)
  got.forEach((numbers, i) => {
    expectClose(numbers, want[i], i === 0 ? 0 : noise, i === 0 ? 'y' : `gradient ${i}`)
  })
}

const MOST = 3.4028234663852886e38
const SIZES = [1e-30, 1e-25, 1e-19, 1e-10, 1, 1e10, 1e19, 1e30, 1e37]
const rowsOf = (size: number): number[][] => [
  [size, size, size],
  [size, -2 * size, 0],
  [size, size * 1e-3, 0.25 * size],
]

describe.runIf(hasDawn())('the ends of float32 on webgpu', () => {
  beforeAll(async () => {
    device = await webgpu({ gpu: (await countedGpu()).gpu })
  })

  it.each(SIZES)('norm and std of rows of %d', async size => {
    for (const dy of [1, 1e-6, 1e6]) {
      await expectSame(x => norm(x, { dim: 1 }), [rowsOf(size)], dy)
      // The last row is the only one whose mean is no element: its differences are rounded.
      await expectSame(x => std(x, { dim: 1 }), [rowsOf(size).slice(1)], dy, 2 ** -20 * dy)
    }
  })

  it('norm of elements far from each other', async () => {
    await expectSame(x => norm(x, { dim: 1 }), [[[1e-30, 1e10, 0]]], 1e30)
    await expectSame(
      x => norm(x, { dim: 1 }),
      [
        [
          [MOST, 0, 0],
          [0, 0, 0],
        ],
      ],
    )
    await expectSame(x => norm(x, { dim: 1 }), [[[Number.POSITIVE_INFINITY, 1]]])
  })

  it.each(SIZES.filter(size => size > 1e-19 && size < 1e19))(
    'variance of rows of %d',
    async size => {
      await expectSame(x => variance(x, { dim: 1 }), [rowsOf(size).slice(1)], 1, 2 ** -20 * size)
    },
  )

  it('sums that overflow, and sums of infinities', async () => {
    const infinity = Number.POSITIVE_INFINITY
    const rows = [
      [infinity, 1, 2],
      [-infinity, 1, -infinity],
      [infinity, -infinity, 0],
      [MOST, MOST, 0],
      [Number.NaN, 1, infinity],
    ]
    for (const fn of [sum, mean]) {
      await expectSame(x => fn(x, { dim: 1 }), [rows.slice(0, 3)])
      await expectSame(x => fn(x, { dim: 0 }), [rows.slice(0, 2)])
      await expectSame(x => fn(x, { dim: 1 }), [rows.slice(4)])
    }
    await expectSame(x => sum(x, { dim: 1 }), [rows.slice(3, 4)])
    const wide = [[...new Array(40).fill(1), infinity], new Array(41).fill(1e37)]
    await expectSame(x => sum(x, { dim: 1 }), [wide])
  })

  it.each([1e-30, 1e-10, 1, 1e10, 1e19, 1e30])('normalised rows of %d', async size => {
    for (const dy of [1, 1e10]) {
      const noise = (2 ** -20 * dy) / size
      await expectSame(x => rmsNorm(x, undefined, { eps: 0 }), [rowsOf(size)], dy, noise)
      const normalize = (x: Tensor): Tensor => layerNorm(x, undefined, undefined, { eps: 0 })
      await expectSame(normalize, [rowsOf(size).slice(1)], dy, noise)
      // Numbers for which eps decides, or does not matter.
      const least = Math.max(size, 2 ** -10)
      await expectSame(x => rmsNorm(x), [rowsOf(size)], dy, (2 ** -20 * dy) / least)
      await expectSame(x => layerNorm(x), [rowsOf(size).slice(1)], dy, (2 ** -20 * dy) / least)
    }
  })

  it('weights of normalised rows, whose gradients are near dy', async () => {
    const weight = [[1, 2, 3]]
    for (const size of [1e-30, 1e30]) {
      const rows = rowsOf(size).slice(1)
      const options = { eps: 0 }
      const flat = (w: Tensor): Tensor => sum(w, { dim: 0 })
      const noise = 2 ** -18 * 1e10
      const noiseOfRows = noise / Math.min(size, 1)
      for (const fn of [
        (x: Tensor, w: Tensor) => rmsNorm(x, flat(w), options),
        (x: Tensor, w: Tensor) => layerNorm(x, flat(w), undefined, options),
      ]) {
        await expectSame(fn, [rows, weight], 1e10, size < 1 ? noiseOfRows : noise)
      }
    }
  })

  it('rows of equal numbers, and of infinity', async () => {
    for (const size of [1, 1.1, 1e5, 1.3e10].map(Math.fround)) {
      for (const count of [3, 7, 49]) {
        const rows = [new Array(count).fill(size)]
        await expectSame(x => layerNorm(x), [rows])
        await expectSame(x => std(x, { dim: 1 }), [rows])
      }
    }
    await expectSame(
      x => layerNorm(x),
      [
        [
          [1e25, 1e25],
          [MOST, MOST],
        ],
      ],
    )
    await expectSame(
      x => layerNorm(x),
      [
        [
          [Number.POSITIVE_INFINITY, 1],
          [Number.NaN, 1],
        ],
      ],
    )
  })

  it('powers of infinity, and of minus one', async () => {
    const infinity = Number.POSITIVE_INFINITY
    const [as, bs] = [
      [-infinity, infinity, -1, 1, -2],
      [0.5, 1.5, -0.5, 3, -3, 4, infinity, -infinity],
    ]
    const pairs = as.flatMap(a => bs.map(b => [a, b]))
    const y = withBackend(device, () =>
      pow(
        tensor(
          pairs.map(([a]) => a),
          [pairs.length],
        ),
        tensor(
          pairs.map(([, b]) => b),
          [pairs.length],
        ),
      ),
    )
    const want = pairs.map(([a, b]) => (Math.abs(a) === 1 && Math.abs(b) === infinity ? 1 : a ** b))
    expectClose(Float32Array.from(await y.data()), Float32Array.from(want), 0, 'pow')
  })

  it('the slope of |x| where x is no number', async () => {
    await expectSame(abs, [[[Number.NaN, 0, -1]]])
  })

  it.each([
    [1e-25, 1e-25],
    [1e-30, 1e-14],
    [1e-16, 1],
    [1e-14, 1e-16],
    [1e-19, 1e19],
    [1e14, 1e16],
    [1e30, 1e30],
  ])('the norm of gradients of %d and %d', async (first, second) => {
    const norms: number[] = []
    for (const backend of [device, reference()]) {
      const made = await withBackend(backend, () => {
        const parameters = [first, second].map(size => [new Parameter([1, 1], [2]), size] as const)
        step(() => {
          for (const [parameter, size] of parameters) {
            backward(sum(mul(parameter, tensor([size, -size], [2]))))
          }
        })
        const optimizer = new SGD(
          parameters.map(([parameter]) => parameter),
          { lr: 0.1 },
        )
        optimizer.step()
        return optimizer.gradNorm()
      })
      norms.push(Math.fround(made))
    }
    expect(norms[1]).toBeGreaterThan(0)
    expect(Math.abs(norms[0] / norms[1] - 1)).toBeLessThan(2 ** -20)
  })

  it.each([1e-30, 1e-14, 1, 1e15, 1e30])('norms of other powers of gradients of %d', async size => {
    const shares = [1e-3, 1, 0.5, 0]
    for (const normType of [0.5, 1, 3, 40, Number.POSITIVE_INFINITY]) {
      const made = withBackend(device, () => {
        const parameters = shares.map(() => new Parameter([1, 1], [2]))
        step(() => {
          parameters.forEach((parameter, i) => {
            backward(sum(mul(parameter, tensor([size * shares[i], -size], [2]))))
          })
        })
        return clipGradNorm(parameters, 1, { normType })
      })
      // Of shares of the size, since float64 too overflows and vanishes.
      const total = shares.reduce((before, share) => before + share ** normType + 1, 0)
      const want = normType === Number.POSITIVE_INFINITY ? size : size * total ** (1 / normType)
      // A power of a is e^(b log a): its relative error is that of b log a, which is below 16 here.
      expect(Math.abs((await made.item()) / want - 1), `${normType}`).toBeLessThan(2 ** -18)
    }
  })
})
