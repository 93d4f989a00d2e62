// Fresh adapters on one layer: A and B, what they leave of the base, and what they must have in common
// with any other right answer. Singular vectors and the columns of Q are free up to sign, so products are
// compared; random starts by their statistics.

import type { Backend } from '../../core/backend.ts'
import { Parameter } from '../../core/parameter.ts'
import { multiply, transpose } from '../../linalg/index.ts'
import { scalingOf } from '../../lora/config.ts'
import { EXTENSIONS, onCpu } from '../../lora/index.ts'
import { type FactorDraws, initialWeights } from '../../lora/init/index.ts'
import { orientedWeight } from '../../lora/init/oriented.ts'
import { type Adaptable, Conv1D, Conv2d, Embedding, Linear } from '../../nn/index.ts'
import type { Case, CaseJson } from '../case.ts'
import { type Answered, type Check, checkEqual, checkThat, compareTensor } from '../compare.ts'
import { type Answer, stored, toleranceOf } from '../kind.ts'
import { compareNumber } from '../numbers.ts'

type Make = (shape: readonly number[], groups?: number) => Adaptable

/** An empty layer for a weight of this shape. */
export const LAYERS: Readonly<Record<string, Make>> = {
  linear: ([out, inputs]) => new Linear(inputs, out, { bias: false }),
  conv1d: ([inputs, out]) => new Conv1D(inputs, out, { bias: false }),
  embedding: ([rows, dim]) => new Embedding(rows, dim),
  conv2d: ([out, inputs, height, width], groups = 1) =>
    new Conv2d(inputs * groups, out, [height, width], { groups, bias: false }),
}

/** In how many groups a convolution is: A takes all channels, the weight those of a group. */
function groupsOf({ tensors }: Case, shape: readonly number[]): number {
  const channels = tensors.get('lora_A')?.shape[1] ?? shape[1]
  return channels / shape[1]
}

function layerOf(example: Case): Adaptable {
  const { shape, data } = stored(example, 'base.weight')
  const { kind } = example.json
  const layer = LAYERS[kind](shape, kind === 'conv2d' ? groupsOf(example, shape) : 1)
  layer.weight = new Parameter(data, shape, { requiresGrad: false })
  return layer
}

interface Matrices {
  readonly A: Float64Array
  readonly B: Float64Array
}

function matricesOf({ A, B }: FactorDraws): Matrices {
  return { A: Float64Array.from(A()), B: Float64Array.from(B()) }
}

function scaledProduct({ A, B }: Matrices, rows: number, cols: number, scaling: number) {
  return multiply(B, A, rows, A.length / cols, cols).map(value => value * scaling)
}

/** The products that the case may ask for, oriented [out, in]. */
function products(layer: Adaptable, own: Matrices, start: Matrices | undefined, scaling: number) {
  const weight = orientedWeight(layer)
  const { rows, cols } = weight
  const r = own.A.length / cols
  const delta = scaledProduct(own, rows, cols, scaling)
  const taken = start && scaledProduct(start, rows, cols, scaling)
  const square = (x: Float64Array, size: number): Answered => ({ shape: [size, size], data: x })
  return {
    [DELTA]: { shape: [rows, cols], data: delta },
    'exact.residual': {
      shape: [rows, cols],
      data: weight.data.map((value, at) => value - (taken?.[at] ?? 0)),
    },
    'exact.A_gram': square(multiply(transpose(own.A, r, cols), own.A, cols, r, cols), cols),
    'exact.B_projector': square(multiply(own.B, transpose(own.B, rows, r), rows, r, rows), rows),
  }
}

export function runStart(example: Case, _backend: Backend): Promise<Answer> {
  const base = layerOf(example)
  return onCpu(base, () => startOf(example, base))
}

function startOf(example: Case, base: Adaptable): Answer {
  const { r, lora_alpha, use_rslora, init_lora_weights, kind } = example.json
  const scaling = scalingOf(r, lora_alpha, use_rslora)
  const config = { r, loraAlpha: lora_alpha, initLoraWeights: init_lora_weights } as CaseJson
  const layer = { base, path: 'layer', r, scaling, seed: 1, stream: 2 }
  const initial = initialWeights(config, layer, EXTENSIONS)
  const own = matricesOf(initial)
  const start = initial.start && matricesOf(initial.start)
  const frozen = EXTENSIONS.flatMap(({ frozen }) => frozen?.(config) ?? [])
  const prefix = kind === 'embedding' ? 'lora_embedding_' : 'lora_'
  const { A, B } = base.factorShapes(r)
  return {
    tensors: {
      [`${prefix}A`]: { shape: A, data: own.A },
      [`${prefix}B`]: { shape: B, data: own.B },
      ...products(base, own, start, scaling),
    },
    json: {
      scaling,
      requires_grad: {
        [`${prefix}A`]: !frozen.includes('A'),
        [`${prefix}B`]: !frozen.includes('B'),
      },
    },
  }
}

const ABSENT = 'expected this output, got none'
const DELTA = 'exact.delta'
const FREE = [DELTA, 'exact.residual', 'exact.A_gram', 'exact.B_projector'] as const

function largest(values: ArrayLike<number>): number {
  return Array.from(values).reduce((most, value) => Math.max(most, Math.abs(value)), 0)
}

function compareProducts(example: Case, answer: Answer, precision: 32 | 64): Check[] {
  const tolerance = toleranceOf(example, precision)
  return startOutputs(example).map(name => {
    const want = stored(example, name)
    const check = compareTensor(name, answer.tensors[name], want, tolerance)
    if (name !== 'exact.residual') {
      return check
    }
    // Measured by the weight: what is left may be small.
    const weight = largest(stored(example, 'base.weight').data)
    return { ...check, error: (check.error * (largest(want.data) || 1)) / weight }
  })
}

interface Statistics {
  readonly mean: number
  readonly std: number
  readonly min: number
  readonly max: number
}

function statistics(values: ArrayLike<number>): Statistics {
  const list = Array.from(values)
  const mean = list.reduce((sum, value) => sum + value, 0) / list.length
  const spread = list.reduce((sum, value) => sum + (value - mean) * (value - mean), 0)
  return {
    mean,
    std: Math.sqrt(spread / list.length),
    min: Math.min(...list),
    max: Math.max(...list),
  }
}

/** Five standard errors of a mean, and of a standard deviation (a normal's; others have less). */
function checkMoments(
  name: string,
  got: Statistics,
  mean: number,
  std: number,
  n: number,
): Check[] {
  const error = (5 * std) / Math.sqrt(n)
  return [
    { what: `${name}: mean`, error: Math.abs(got.mean - mean), tolerance: error },
    { what: `${name}: std`, error: Math.abs(got.std - std), tolerance: error },
  ]
}

function checkDistribution(name: string, values: ArrayLike<number>, wanted: CaseJson): Check[] {
  const got = statistics(values)
  const n = values.length
  switch (wanted.kind) {
    case 'zeros':
      return [
        checkThat(`${name}: zeros`, got.min === 0 && got.max === 0, `got ${got.min} … ${got.max}`),
      ]
    case 'uniform': {
      const { low, high } = wanted
      const inside = got.min >= low && got.max <= high
      const note = `expected ${low} … ${high}, got ${got.min} … ${got.max}`
      const std = (high - low) / Math.sqrt(12)
      return [
        checkThat(`${name}: range`, inside, note),
        ...checkMoments(name, got, (low + high) / 2, std, n),
      ]
    }
    default:
      // A product's entries share factors, so that fewer of them are independent.
      return checkMoments(name, got, wanted.mean, wanted.std, wanted.kind === 'product' ? n / 8 : n)
  }
}

/** A matrix that is drawn: there, of the stored shape, and distributed as it should be. */
function compareDrawn(example: Case, answer: Answer, name: string, wanted: CaseJson): Check[] {
  const got = answer.tensors[name]
  if (!got) {
    return [checkThat(name, false, ABSENT)]
  }
  const shape = checkEqual(`${name}: shape`, got.shape, stored(example, name).shape)
  return [shape, ...checkDistribution(name, got.data, wanted)]
}

/** How far the largest entry of s·B·A is from zero, at most `bound`. */
function compareZero(delta: Answered | undefined, bound: number): Check {
  const error = delta ? largest(delta.data) : Number.POSITIVE_INFINITY
  return { what: DELTA, error, tolerance: bound, note: delta ? undefined : ABSENT }
}

function compareRandom(example: Case, answer: Answer): Check[] {
  const { distribution, delta_max_abs_bound: bound } = example.json
  const zero = bound === undefined ? [] : [compareZero(answer.tensors[DELTA], bound)]
  const drawn = drawnFactors(example).flatMap(name =>
    compareDrawn(example, answer, name, distribution[name]),
  )
  return [...drawn, ...zero]
}

/** The matrices that are drawn at random, none where the start is computed. */
function drawnFactors({ json }: Case): string[] {
  return Object.keys(json.distribution ?? {}).filter(name => name !== 'delta')
}

/** The tensors that are asked for. */
export function startOutputs(example: Case): string[] {
  const { distribution, delta_max_abs_bound: bound } = example.json
  return distribution
    ? [...drawnFactors(example), ...(bound === undefined ? [] : [DELTA])]
    : FREE.filter(name => example.tensors.has(name))
}

/** What of the case is no answer: sizes, and how to start. In how many groups A's shape would say. */
export function startQuestion(json: CaseJson, example: Case): unknown {
  const { init_lora_weights, r, lora_alpha, use_rslora, fan_in_fan_out, kind, tolerance } = json
  const groups = kind === 'conv2d' ? groupsOf(example, stored(example, 'base.weight').shape) : 1
  return { init_lora_weights, r, lora_alpha, use_rslora, fan_in_fan_out, groups, tolerance }
}

export function compareStart(example: Case, answer: Answer, precision: 32 | 64): Check[] {
  const { scaling, requires_grad, distribution } = example.json
  return [
    checkEqual('requires_grad', answer.json?.requires_grad, requires_grad),
    compareNumber('scaling', answer.json?.scaling, scaling, 1e-12),
    ...(distribution
      ? compareRandom(example, answer)
      : compareProducts(example, answer, precision)),
  ]
}
