// Optimizers against their formulas, over random shapes, options and gradients. On the reference
// backend against the formulas in float64; on wasm against the same operations in float32, one
// rounding each, bit for bit: sums, products, quotients and roots are correctly rounded, so Math.fround
// of a float64 result is the float32 result.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { reference } from '../../src/backends/reference/index.ts'
import { wasm } from '../../src/backends/wasm/index.ts'
import { type Backend, withBackend } from '../../src/core/backend.ts'
import { Parameter } from '../../src/core/parameter.ts'
import { Random } from '../../src/core/rng.ts'
import { Adafactor } from '../../src/optim/adafactor.ts'
import { Adam } from '../../src/optim/adam.ts'
import { AdamW } from '../../src/optim/adamw.ts'
import type { Optimizer } from '../../src/optim/optimizer.ts'
import { SGD } from '../../src/optim/sgd.ts'
import { TransformersAdafactor } from '../../src/optim/transformers_adafactor.ts'
import { setGradient } from '../support/gradients.ts'

type Round = (x: number) => number

interface Run {
  readonly shape: readonly number[]
  readonly start: Float32Array
  readonly gradients: readonly Float32Array[]
}

function runOf(shape: readonly number[], steps: number, seed: number): Run {
  const random = new Random(seed, 'formulas')
  const count = shape.reduce((product, size) => product * size, 1)
  const draw = (): Float32Array =>
    Float32Array.from({ length: count }, () => random.uniform() * 2 - 1)
  return { shape, start: draw(), gradients: Array.from({ length: steps }, draw) }
}

function trained(
  backend: Backend,
  { shape, start, gradients }: Run,
  make: (parameters: Parameter[]) => Optimizer,
  maxGradNorm?: number,
): ArrayLike<number> {
  return withBackend(backend, () => {
    const parameter = new Parameter(start, shape)
    const optimizer = make([parameter])
    for (const gradient of gradients) {
      setGradient(parameter, gradient)
      optimizer.step({ maxGradNorm })
    }
    const data = parameter.dataSync()
    optimizer.dispose()
    parameter.dispose()
    return data
  })
}

/** The clip factor of a gradient, rounded where the kernels store it. */
function clipFactor(gradient: Float32Array, maxGradNorm: number | undefined, round: Round): number {
  const norm = Math.sqrt(gradient.reduce((sum, x) => sum + x * x, 0))
  return maxGradNorm === undefined ? 1 : round(Math.min(1, maxGradNorm / (norm + 1e-6)))
}

interface SgdCase {
  readonly lr: number
  readonly momentum: number
  readonly dampening: number
  readonly weightDecay: number
  readonly nesterov: boolean
  readonly maximize: boolean
}

function sgdFormula(run: Run, options: SgdCase, clip: number | undefined, round: Round): number[] {
  const { lr, momentum, dampening, weightDecay, nesterov, maximize } = options
  const p = [...run.start]
  const buffer = p.map(() => 0)
  run.gradients.forEach((gradient, step) => {
    const factor = clipFactor(gradient, clip, round) * (maximize ? -1 : 1)
    const share = round(step === 0 ? 1 : 1 - dampening)
    const keep = round(momentum)
    p.forEach((before, i) => {
      const g = round(round(factor * gradient[i]) + round(round(weightDecay) * before))
      let direction = g
      if (momentum !== 0) {
        buffer[i] = round(round(keep * buffer[i]) + round(share * g))
        direction = nesterov ? round(g + round(keep * buffer[i])) : buffer[i]
      }
      p[i] = round(before - round(round(lr) * direction))
    })
  })
  return p
}

interface AdamCase {
  readonly lr: number
  readonly betas: readonly [number, number]
  readonly eps: number
  readonly weightDecay: number
  readonly amsgrad: boolean
  readonly maximize: boolean
}

function adamFormula(
  run: Run,
  options: AdamCase,
  decoupled: boolean,
  clip: number | undefined,
  round: Round,
): number[] {
  const { lr, betas, eps, weightDecay, amsgrad, maximize } = options
  const [b1, b2, a1, a2] = [betas[0], betas[1], 1 - betas[0], 1 - betas[1]].map(round)
  const p = [...run.start]
  const m = p.map(() => 0)
  const v = p.map(() => 0)
  const largest = p.map(() => 0)
  run.gradients.forEach((gradient, step) => {
    const factor = clipFactor(gradient, clip, round) * (maximize ? -1 : 1)
    const rate = round(lr / round(1 - betas[0] ** (step + 1)))
    const scale = round(1 / round(Math.sqrt(1 - betas[1] ** (step + 1))))
    const kept = round(decoupled ? 1 - lr * weightDecay : 1)
    const added = round(decoupled ? 0 : weightDecay)
    p.forEach((before, i) => {
      const g = round(round(factor * gradient[i]) + round(added * before))
      m[i] = round(round(b1 * m[i]) + round(a1 * g))
      v[i] = round(round(b2 * v[i]) + round(a2 * round(g * g)))
      largest[i] = amsgrad ? Math.max(largest[i], v[i]) : v[i]
      const denominator = round(round(round(Math.sqrt(largest[i])) * scale) + round(eps))
      p[i] = round(round(kept * before) - round(rate * round(m[i] / denominator)))
    })
  })
  return p
}

const exact: Round = x => x
const float: Round = Math.fround

// One backend for all runs: reused memory is not zero, so a missing initialisation shows.
const [onReference, onWasm] = [reference(), wasm()]

function expectBoth(
  run: Run,
  clip: number | undefined,
  make: (parameters: Parameter[]) => Optimizer,
  formula: (round: Round) => number[],
): void {
  const exactly = formula(exact)
  // Steps may bring a parameter near zero: rounding is of the size of where it came from.
  const scale = Math.max(...[...run.start, ...exactly].map(Math.abs), 0)
  const got64 = trained(onReference, run, make, clip)
  const difference = Array.from(got64, (got, i) => got - exactly[i])
  expect(Math.max(...difference.map(Math.abs), 0)).toBeLessThanOrEqual(1e-12 * scale)
  const got = Float32Array.from(trained(onWasm, run, make, clip))
  expect(new Uint32Array(got.buffer)).toEqual(
    new Uint32Array(Float32Array.from(formula(float)).buffer),
  )
}

const runs = fc
  .record({
    size: fc.integer({ min: 0, max: 37 }),
    steps: fc.integer({ min: 1, max: 6 }),
    seed: fc.integer(),
  })
  .map(({ size, steps, seed }) => runOf([size], steps, seed))
const clips = fc.option(fc.constantFrom(0.1, 1, 100), { nil: undefined })
const lrs = fc.double({ min: 0, max: 1, noNaN: true })
const decays = fc.constantFrom(0, 0.01, 0.3)

describe('SGD', () => {
  const options = fc.record({
    lr: lrs,
    momentum: fc.constantFrom(0, 0.5, 0.9),
    dampening: fc.constantFrom(0, 0.3),
    weightDecay: decays,
    nesterov: fc.boolean(),
    maximize: fc.boolean(),
  })

  test('equals its formula', () => {
    fc.assert(
      fc.property(runs, options, clips, (run, drawn, clip) => {
        const nesterov = drawn.nesterov && drawn.momentum > 0 && drawn.dampening === 0
        const chosen = { ...drawn, nesterov }
        const make = (parameters: Parameter[]): Optimizer => new SGD(parameters, chosen)
        expectBoth(run, clip, make, round => sgdFormula(run, chosen, clip, round))
      }),
      { numRuns: 300 },
    )
  })
})

describe.each([
  { name: 'Adam', make: Adam, decoupled: false },
  { name: 'AdamW', make: AdamW, decoupled: true },
])('$name', ({ make, decoupled }) => {
  const options = fc.record({
    lr: lrs,
    betas: fc.constantFrom<[number, number]>([0.9, 0.999], [0, 0.5], [0.8, 0]),
    eps: fc.constantFrom(1e-8, 1e-3),
    weightDecay: decays,
    amsgrad: fc.boolean(),
    maximize: fc.boolean(),
  })

  test('equals its formula', () => {
    fc.assert(
      fc.property(runs, options, clips, (run, chosen, clip) => {
        const build = (parameters: Parameter[]): Optimizer => new make(parameters, chosen)
        expectBoth(run, clip, build, round => adamFormula(run, chosen, decoupled, clip, round))
      }),
      { numRuns: 300 },
    )
  })
})

/** Rows and columns of a matrix, or one row. */
type Matrix = readonly [rows: number, cols: number]

function rootMeanSquare(x: readonly number[]): number {
  return Math.sqrt(x.reduce((sum, value) => sum + value * value, 0) / x.length)
}

function means(squares: readonly number[], [rows, cols]: Matrix): { row: number[]; col: number[] } {
  const row = Array.from({ length: rows }, (_, i) => {
    return squares.slice(i * cols, (i + 1) * cols).reduce((sum, x) => sum + x, 0) / cols
  })
  const col = Array.from({ length: cols }, (_, j) => {
    return row.reduce((sum, _x, i) => sum + squares[i * cols + j], 0) / rows
  })
  return { row, col }
}

/** Algorithm 4 of the Adafactor paper, with the rate and the epsilons of PyTorch. */
function adafactorFormula(run: Run, lr: number, weightDecay: number, eps: number): number[] {
  const [rows, cols] = run.shape as Matrix
  const p = [...run.start]
  let row = new Array<number>(rows).fill(0)
  let col = new Array<number>(cols).fill(0)
  run.gradients.forEach((gradient, i) => {
    const weight = (i + 1) ** -0.8
    const alpha = Math.max(1e-3, rootMeanSquare(p)) * Math.min(lr, 1 / Math.sqrt(i + 1))
    const squares = [...gradient].map(g => g * g)
    const mean = means(squares, [rows, cols])
    row = row.map((r, k) => r + weight * (mean.row[k] - r))
    col = col.map((c, k) => c + weight * (mean.col[k] - c))
    const scale = Math.max(eps, row.reduce((sum, r) => sum + r, 0) / rows)
    const update = [...gradient].map((g, k) => {
      const variance = (row[Math.floor(k / cols)] * col[k % cols]) / scale
      return g / Math.sqrt(Math.max(eps * eps, variance))
    })
    const denominator = Math.max(1, rootMeanSquare(update))
    p.forEach((before, k) => {
      p[k] = before * (1 - lr * weightDecay) - (alpha / denominator) * update[k]
    })
  })
  return p
}

// float32 against float64: a dozen roundings a step, of numbers up to the largest |p|. Updates of
// an element are at most √n, here about 20, times the step size, and their relative error is about
// ten roundings, 6e-7.
const F32_LIMIT = 1e-5

/** The largest difference, by the largest element at the start or the end: steps may cancel it. */
function differenceOf(run: Run, got: ArrayLike<number>, want: ArrayLike<number>): number {
  const scale = Math.max(...[...run.start, ...Array.from(want)].map(Math.abs), 0)
  const difference = Math.max(...Array.from(got, (x, i) => Math.abs(x - want[i])), 0)
  return difference === 0 ? 0 : difference / scale
}

describe('Adafactor', () => {
  const shapes = fc.tuple(fc.integer({ min: 1, max: 19 }), fc.integer({ min: 1, max: 19 }))
  const steps = fc.integer({ min: 1, max: 5 })
  const rates = fc.constantFrom(1e-3, 0.05, 1)

  test('equals its formula', () => {
    fc.assert(
      fc.property(shapes, steps, fc.integer(), rates, decays, (shape, count, seed, lr, decay) => {
        const run = runOf(shape, count, seed)
        const make = (parameters: Parameter[]): Optimizer =>
          new Adafactor(parameters, { lr, weightDecay: decay, eps: [1e-4, 1e-3] })
        const want = adafactorFormula(run, lr, decay, 1e-4)
        expect(differenceOf(run, trained(onReference, run, make), want)).toBeLessThan(1e-12)
        expect(differenceOf(run, trained(onWasm, run, make), want)).toBeLessThan(F32_LIMIT)
      }),
      { numRuns: 200 },
    )
  })

  test('both variants agree between the backends at every shape', () => {
    const anyShape = fc.oneof(
      shapes,
      fc.constantFrom([0], [1], [5], [33], [], [0, 3], [3, 0], [2, 3, 5], [3, 2, 9, 4]),
    )
    const beta1 = fc.constantFrom(null, 0.9)
    fc.assert(
      fc.property(anyShape, steps, fc.integer(), beta1, clips, (shape, count, seed, b, clip) => {
        const run = runOf(shape, count, seed)
        for (const make of [
          (parameters: Parameter[]) => new Adafactor(parameters, { maximize: true }),
          (parameters: Parameter[]) => new TransformersAdafactor(parameters, { beta1: b }),
          (parameters: Parameter[]) => new TransformersAdafactor(parameters, { warmupInit: true }),
        ]) {
          const want = trained(onReference, run, make as never, clip)
          const got = trained(onWasm, run, make as never, clip)
          expect(differenceOf(run, got, want)).toBeLessThan(F32_LIMIT)
        }
      }),
      { numRuns: 100 },
    )
  })

  test('a gradient of zeros moves nothing but the decay', () => {
    for (const backend of [onReference, onWasm]) {
      const run = { shape: [2, 3], start: runOf([2, 3], 0, 1).start, gradients: [] }
      const gradients = [new Float32Array(6), new Float32Array(6)]
      for (const make of [
        (parameters: Parameter[]) => new Adafactor(parameters),
        // The square of this floor is 0 in float32.
        (parameters: Parameter[]) => new Adafactor(parameters, { eps: [1e-30, 1e-3] }),
        (parameters: Parameter[]) => new TransformersAdafactor(parameters, { beta1: 0.9 }),
      ]) {
        const got = trained(backend, { ...run, gradients }, make as never)
        expect([...Array.from(got)]).toEqual([...run.start])
      }
    }
  })

  // The update of a lone element is 1, so that p is minus the sum of the rates.
  test.each([
    [{ scaleParameter: false, warmupInit: true }, -6e-6],
    [{ scaleParameter: false }, -3e-2],
    [{ scaleParameter: false, relativeStep: false, lr: 0.25 }, -0.75],
    [{}, -3e-5],
  ])('the rates of three steps with %o', (options, want) => {
    const gradients = [1, 1, 1].map(g => new Float32Array([g]))
    const run = { shape: [1], start: new Float32Array(1), gradients }
    const make = (parameters: Parameter[]): Optimizer =>
      new TransformersAdafactor(parameters, options)
    expect(trained(onReference, run, make)[0] / want).toBeCloseTo(1, 12)
    expect(trained(onWasm, run, make)[0] / want).toBeCloseTo(1, 6)
  })
})
