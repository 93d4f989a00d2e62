// DoRA's norm: right where the update takes the weight almost away, and right after training, however
// often it was computed before.

import {
  dropout,
  Linear,
  manualSeed,
  mseLoss,
  Parameter,
  Random,
  SGD,
  step,
  type Tensor,
  tensor,
  trainStep,
  withBackend,
} from 'lowrank'
import { memoryDirectory } from 'lowrank/io'
import { attach, type LoraModule, load, mergedLayer, saveAdapter, setAdapter } from 'lowrank/lora'
import { Conv2d } from 'lowrank/nn'
import { reference } from 'lowrank/reference'
import { describe, expect, it } from 'vitest'
import { scaledError } from '../../src/conformance/index.ts'
import { setBackend } from '../../src/core/backend.ts'
import { withDraws } from '../../src/core/random_state.ts'
import { backends } from '../support/backends.ts'

const [I, O, R] = [24, 4, 4]

function draw(name: string, count: number): number[] {
  const random = new Random(7, name)
  return Array.from({ length: count }, () => random.normal())
}

/** A layer whose weight is P·Q, with the update −share·P·Q in factors; a fourth row is left alone. */
function cancelled(share: number): LoraModule {
  const P = draw('P', O * R)
  const Q = draw('Q', R * I)
  const base = new Linear(I, O, { bias: false })
  const W = Array.from({ length: O * I }, (_, i) => {
    const [row, column] = [Math.floor(i / I), i % I]
    return P.slice(row * R, (row + 1) * R).reduce((sum, p, r) => sum + p * Q[r * I + column], 0)
  })
  base.weight = new Parameter(W, [O, I])
  const layer = attach(base, { r: R, loraAlpha: 3 * R, useDora: true })
  const state = layer.adapters.get('default')
  state?.A.replace(Q)
  state?.B.replace(P.map((p, i) => (i < (O - 1) * R ? (-share * p) / 3 : 0)))
  return layer
}

/** ‖W + s·B·A‖ per row, in f64, of the elements as they are stored. */
function norms(layer: LoraModule): number[] {
  const [A, B] = ['A', 'B'].map(name => {
    return layer.adapters.get('default')?.[name as 'A' | 'B'].dataSync() as ArrayLike<number>
  })
  const W = layer.base.weight.dataSync()
  return Array.from({ length: O }, (_, row) => {
    let total = 0
    for (let i = 0; i < I; i++) {
      let value = W[row * I + i]
      for (let r = 0; r < R; r++) {
        value += 3 * B[row * R + r] * A[r * I + i]
      }
      total += value * value
    }
    return Math.sqrt(total)
  })
}

describe.each(backends)('the norm of DoRA on $name', ({ make }) => {
  it.each([0, 0.5, 0.9, 0.99, 0.999, 1 - 1e-4, 1 - 1e-6])(
    'is within its bound where %f of the weight is taken away',
    share => {
      setBackend(make())
      try {
        const layer = cancelled(share)
        const state = layer.states()[0]
        const start = state.variant?.extraStart?.(layer, state).lora_magnitude_vector
        const got = start as ArrayLike<number> | undefined
        for (const [row, want] of norms(layer).entries()) {
          const off = Math.abs((got?.[row] ?? Number.NaN) - want)
          expect(off, `row ${row}`).toBeLessThanOrEqual(16 * (I + 2 * R + 6) * 2 ** -24 * want)
        }
        const y = layer.forward(tensor(draw('x', I), [1, I])).dataSync()
        expect(y.every(Number.isFinite)).toBe(true)
      } finally {
        setBackend(undefined)
      }
    },
  )

  it('is within its bound where the update takes itself away, in one row of four', () => {
    setBackend(make())
    try {
      const base = new Linear(I, O, { bias: false })
      base.weight = new Parameter(
        draw('W', O * I).map(value => value / 1000),
        [O, I],
      )
      const layer = attach(base, { r: R, loraAlpha: 3 * R, useDora: true })
      const state = layer.states()[0]
      const q = draw('Q', I)
      state.A.replace([...q, ...q, ...q.map(value => value / 2), ...q])
      const B = new Float32Array(O * R)
      B.set([100, -100.001, 0, 0], R)
      B.set([0.01, 0, 0, 0], 2 * R)
      state.B.replace(B)
      const start = state.variant?.extraStart?.(layer, state).lora_magnitude_vector
      const got = start instanceof Parameter ? start.dataSync() : (start ?? [])
      for (const [row, want] of norms(layer).entries()) {
        const off = Math.abs(got[row] - want)
        expect(off, `row ${row}`).toBeLessThanOrEqual(16 * (I + 2 * R + 6) * 2 ** -24 * want)
      }
    } finally {
      setBackend(undefined)
    }
  })
})

describe('the norm of DoRA after training', () => {
  const x = (): Tensor => tensor(draw('x', I), [1, I])
  const valuesOf = (layer: { forward(x: Tensor): Tensor }): number[] => [
    ...layer.forward(x()).dataSync(),
  ]

  async function train(layer: LoraModule): Promise<void> {
    const optimizer = new SGD(layer.trainable(), { lr: 0.1 })
    const target = tensor(draw('target', O), [1, O])
    for (let step = 0; step < 3; step++) {
      await trainStep(optimizer, () => mseLoss(layer.forward(x()), target))
    }
  }

  /** A layer of the same weight with an adapter that was read. */
  async function fresh(directory: ReturnType<typeof memoryDirectory>): Promise<LoraModule> {
    manualSeed(2)
    return (await load(new Linear(I, O), directory)) as unknown as LoraModule
  }

  it('is that of the adapter as it is then', async () => {
    const [first, second] = [memoryDirectory(), memoryDirectory()]
    manualSeed(2)
    const config = { r: R, useDora: true, initLoraWeights: false }
    await saveAdapter(attach(new Linear(I, O), config), first)
    const layer = await fresh(first)
    const before = valuesOf(layer)
    setAdapter(layer, 'default')
    await train(layer)
    const trained = valuesOf(layer)
    expect(trained).not.toEqual(before)
    layer.freeze()
    await saveAdapter(layer, second)
    expect(valuesOf(layer)).toEqual(trained)
    expect(valuesOf(await fresh(second))).toEqual(trained)
    const merged = valuesOf(mergedLayer(layer))
    merged.forEach((value, i) => {
      expect(value).toBeCloseTo(trained[i], 4)
    })
  })

  it('is that of a weight that was trained and frozen again', async () => {
    manualSeed(2)
    const layer = attach(new Linear(I, O), { r: R, useDora: true }) as unknown as LoraModule
    layer.freeze()
    valuesOf(layer)
    layer.base.weight.unfreeze()
    await train(layer)
    layer.freeze()
    const after = valuesOf(layer)
    layer.base.weight.replace(layer.base.weight.dataSync())
    expect(after).toEqual(valuesOf(layer))
  })
})

describe('DoRA over a base without the start of its adapter', () => {
  type Rows = readonly (readonly number[])[]
  const rowsOf = ({
    shape: [rows, cols],
    ...x
  }: {
    shape: readonly number[]
    data: ArrayLike<number>
  }): Rows =>
    Array.from({ length: rows }, (_, i) => Array.from(x.data).slice(i * cols, (i + 1) * cols))
  const matrix = (x: Tensor): Rows => rowsOf({ shape: x.shape, data: x.dataSync() })
  /** a [M, K] · b [K, N]. */
  const product = (a: Rows, b: Rows): Rows =>
    a.map(row => b[0].map((_, n) => row.reduce((sum, value, k) => sum + value * b[k][n], 0)))
  const plus = (a: Rows, b: Rows, factor: number): Rows =>
    a.map((row, i) => row.map((value, j) => value + factor * b[i][j]))
  const transposed = (a: Rows): Rows => a[0].map((_, n) => a.map(row => row[n]))

  it.each([true, 'pissa', 'olora'])('thins the input as PEFT does: %s', initLoraWeights => {
    withBackend(reference(), () => {
      manualSeed(3)
      const config = { r: 2, loraAlpha: 5, loraDropout: 0.4, useDora: true, initLoraWeights }
      const layer = attach(new Linear(I, O), config)
      const state = layer.states()[0]
      const magnitude = state.extra?.lora_magnitude_vector as Parameter
      const fresh = matrix(layer.base.weight).map(row => Math.hypot(...row))
      magnitude.dataSync().forEach((value, i) => {
        expect(value).toBeCloseTo(fresh[i], 5)
      })
      state.B.replace(state.B.dataSync().map((value, i) => value + ((i % 3) - 1) / 4))
      magnitude.replace(magnitude.dataSync().map((value, i) => value * (1 + i / 4)))
      const x = tensor(draw('x', 2 * I), [2, I])
      const drawn = { seed: 4, stream: 9 }
      const thin = matrix(step(() => withDraws(drawn, () => dropout(x, 0.4))))
      const delta = (A: Tensor, B: Tensor) => product(matrix(B), matrix(A))
      const base = state.start
        ? plus(matrix(layer.base.weight), delta(state.start.A, state.start.B), -state.scaling)
        : matrix(layer.base.weight)
      const whole = plus(base, delta(state.A, state.B), state.scaling)
      const m = Array.from(magnitude.dataSync(), (value, o) => value / Math.hypot(...whole[o]))
      const plain = product(matrix(x), transposed(base))
      const part = product(thin, transposed(base))
      const full = product(thin, transposed(whole))
      const bias = layer.base.bias?.dataSync() ?? []
      const got = matrix(step(() => withDraws(drawn, () => layer.forward(x))))
      got.forEach((row, i) => {
        row.forEach((value, o) => {
          const want = plain[i][o] + bias[o] + m[o] * full[i][o] - part[i][o]
          // float32 factors in sums of 24 products.
          expect(value).toBeCloseTo(want, 5)
        })
      })
      const merged = mergedLayer(layer).forward(x).dataSync()
      layer
        .forward(x)
        .dataSync()
        .forEach((value, i) => {
          expect(value).toBeCloseTo(merged[i], 5)
        })
    })
  })

  it('starts as the base on a convolution in groups, and cannot be merged', () => {
    const grouped = new Conv2d(4, 4, 1, { groups: 2 })
    const x = tensor(
      Float32Array.from({ length: 8 }, (_, i) => i - 3),
      [1, 4, 1, 2],
    )
    const before = grouped.forward(x).dataSync()
    const layer = attach(grouped, { r: 2, useDora: true })
    expect(scaledError(layer.forward(x).dataSync(), before)).toBeLessThan(1e-6)
    expect(() => mergedLayer(layer)).toThrow('groups of a conv2d cannot be merged')
  })

  it('looks again at what is written anew', () => {
    const layer = attach(new Linear(I, O), { r: R, useDora: true, initLoraWeights: false })
    layer.freeze()
    const x = tensor(draw('x', I), [1, I])
    const y = () => [...layer.forward(x).dataSync()]
    const first = y()
    expect(y()).toEqual(first)
    const { A, B } = layer.states()[0]
    for (const parameter of [A, B, layer.base.weight]) {
      const before = y()
      parameter.replace(parameter.dataSync().map((value, i) => value * (1 + (i % 5) / 4)))
      const after = y()
      expect(after).not.toEqual(before)
      const merged = mergedLayer(layer).forward(x).dataSync()
      after.forEach((value, i) => {
        expect(value).toBeCloseTo(merged[i], 3)
      })
    }
  })
})
