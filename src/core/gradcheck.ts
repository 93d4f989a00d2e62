// Gradients against finite differences, in float64. For L = Σ y·dy with a random dy and a step h,
//
//   D(h) = (L(x + h·e_i) − L(x − h·e_i)) / 2h            its error is of order h², plus ε·|L| / h
//   R(h) = (4·D(h/2) − D(h)) / 3                         of order h⁴ (Richardson 1911, extrapolated)
//
// The second is sharp at a larger h, where rounding is small: about 1e-11 instead of 1e-9.

import type { Backend } from './backend.ts'
import { LowrankError } from './errors.ts'
import { Random } from './rng.ts'
import { backward, noGrad, step } from './tape.ts'
import { type Tensor, tensor } from './tensor.ts'

export interface GradcheckOptions {
  /** `central` differences, or their `richardson` extrapolation; `central` if absent. */
  readonly method?: 'central' | 'richardson'
  /** The step h: 1e-6 for `central`, 1e-3 for `richardson`. */
  readonly eps?: number
  /** 1e-5 for `central`, 1e-8 for `richardson`. */
  readonly atol?: number
  /** 1e-3 for `central`, 1e-7 for `richardson`. */
  readonly rtol?: number
  /** Seeds the upstream gradient. */
  readonly seed?: number
  /** Which inputs to check; all float inputs if absent. */
  readonly wrt?: readonly number[]
}

export interface GradcheckEntry {
  /** Which input, and which of its elements, row by row. */
  readonly input: number
  readonly index: number
  readonly analytic: number
  readonly numeric: number
  /** |analytic − numeric| / (atol + rtol·|numeric|): passes up to 1. */
  readonly error: number
}

export interface GradcheckReport {
  readonly ok: boolean
  /** How many elements were compared. */
  readonly checked: number
  /** The entry that is furthest off; none where there are no elements. */
  readonly worst: GradcheckEntry | undefined
  /** The worst entry of each input that has elements. */
  readonly inputs: readonly GradcheckEntry[]
}

type Settings = Required<Pick<GradcheckOptions, 'method' | 'eps' | 'atol' | 'rtol' | 'seed'>>

/** PyTorch's limits for central differences; for the sharper ones, limits they meet. */
const DEFAULTS: Readonly<Record<Settings['method'], Settings>> = {
  central: { method: 'central', eps: 1e-6, atol: 1e-5, rtol: 1e-3, seed: 0 },
  richardson: { method: 'richardson', eps: 1e-3, atol: 1e-8, rtol: 1e-7, seed: 0 },
}

function weightedSum(y: Tensor, dy: ArrayLike<number>): number {
  const values = y.dataSync()
  let sum = 0
  for (let i = 0; i < values.length; i++) {
    sum += values[i] * dy[i]
  }
  return sum
}

function remade(x: Tensor, data: ArrayLike<number>, requiresGrad: boolean): Tensor {
  return tensor(data, x.shape, { dtype: x.dtype, backend: x.backend, requiresGrad })
}

function checkBackend(backend: Backend): void {
  if (backend.precision !== 64) {
    throw new LowrankError(
      'backend',
      `gradcheck: expected tensors of a float64 backend, got ${backend.name} ` +
        '(make them under withBackend(reference(), …))',
    )
  }
}

/** Runs `fn` forward and backward; the upstream gradient, of which L is made. */
function walk(
  fn: (...inputs: Tensor[]) => Tensor,
  leaves: readonly Tensor[],
  seed: number,
): Float64Array {
  return step(() => {
    const y = fn(...leaves)
    const random = new Random(seed, 'gradcheck')
    const dy = Float64Array.from({ length: y.size }, () => random.uniform() * 2 - 1)
    if (y.requiresGrad) {
      backward(y, tensor(dy, y.shape, { backend: y.backend }))
    }
    return { dy }
  }).dy
}

/** dL/dx by differences, where `at` is L as a function of a shift of x. */
function difference(at: (shift: number) => number, { method, eps }: Settings): number {
  const central = (h: number): number => (at(h) - at(-h)) / (2 * h)
  return method === 'central' ? central(eps) : (4 * central(eps / 2) - central(eps)) / 3
}

function worse(a: GradcheckEntry | undefined, b: GradcheckEntry): GradcheckEntry {
  return a && b.error <= a.error ? a : b
}

interface Checked {
  readonly fn: (...inputs: Tensor[]) => Tensor
  readonly leaves: readonly Tensor[]
  readonly dy: ArrayLike<number>
  readonly settings: Settings
}

/** The worst element of one input. */
function checkInput(input: number, checked: Checked): GradcheckEntry | undefined {
  const { fn, leaves, dy, settings } = checked
  const values = leaves[input].dataSync()
  const gradient = leaves[input].grad?.dataSync() ?? new Float64Array(values.length)
  let worst: GradcheckEntry | undefined
  for (let index = 0; index < values.length; index++) {
    const at = (shift: number): number => {
      const moved = values.slice()
      moved[index] += shift
      const others = leaves.map((leaf, i) => (i === input ? remade(leaf, moved, false) : leaf))
      return noGrad(() => weightedSum(fn(...others), dy))
    }
    const numeric = difference(at, settings)
    const analytic = gradient[index]
    const limit = settings.atol + settings.rtol * Math.abs(numeric)
    const error = Math.abs(analytic - numeric) / limit
    worst = worse(worst, { input, index, analytic, numeric, error })
  }
  return worst
}

/**
 * Compares the gradients of `fn` with finite differences, every element of every float input. The
 * inputs must belong to the reference backend; a `backend` error otherwise. PyTorch's limits are the
 * defaults: eps 1e-6, atol 1e-5, rtol 1e-3. Where they are too wide to tell a small error, the method
 * `richardson` compares to seven digits.
 *
 * @example
 * ```ts
 * import { gradcheck, mul, tensor, withBackend } from 'lowrank'
 * import { reference } from 'lowrank/reference'
 *
 * const report = withBackend(reference(), () => {
 *   const x = tensor([0.5, -2], [2])
 *   return gradcheck(x => mul(x, x), [x])
 * })
 * console.log(report.ok) // true
 * ```
 */
export function gradcheck(
  fn: (...inputs: Tensor[]) => Tensor,
  inputs: readonly Tensor[],
  options: GradcheckOptions = {},
): GradcheckReport {
  const given = Object.entries(options).filter(([, value]) => value !== undefined)
  const settings = { ...DEFAULTS[options.method ?? 'central'], ...Object.fromEntries(given) }
  for (const { backend } of inputs) {
    checkBackend(backend)
  }
  const floats = inputs.map((_, i) => i).filter(i => inputs[i].dtype !== 'int32')
  const wrt = options.wrt ?? floats
  const leaves = inputs.map((input, i) => remade(input, input.dataSync(), wrt.includes(i)))
  const dy = walk(fn, leaves, settings.seed)
  const found = wrt.map(input => checkInput(input, { fn, leaves, dy, settings }))
  const entries = found.filter(entry => entry !== undefined)
  const worst = entries.reduce<GradcheckEntry | undefined>(worse, undefined)
  return {
    ok: !worst || worst.error <= 1,
    checked: wrt.reduce((sum, i) => sum + leaves[i].size, 0),
    worst,
    inputs: entries,
  }
}
