// Frequencies and tables of rotary embeddings, in float64: angle(p, i) = p · f(i), i < D/2, with
// f(i) = θ^(−2i/D) and the changes of each rope type:
//
//   linear    f / factor                                       (Chen et al. 2023, arXiv 2306.15595)
//   dynamic   a larger θ, growing with the length beyond the model's  (transformers' "dynamic NTK")
//   llama3    long waves / factor, short ones as they are, a ramp between      (Llama 3.1's config)
//   yarn      the same with a ramp over the dimensions, cos and sin scaled (Peng et al., 2309.00071)
//   longrope  f / a factor of its own for each i, other ones beyond the original length
//                                                                (Ding et al. 2024, arXiv 2402.13753)

import { type Backend, currentBackend } from '../core/backend.ts'
import { cos, log, positivePower, sin } from '../core/math.ts'
import { PersistentTensor, storageOf, type Tensor } from '../core/tensor.ts'
import type { RopeConfig } from './rope_config.ts'

export {
  ROPE_TYPES,
  type RopeConfig,
  type RopeType,
  readRopeConfig,
  stretchedPositions,
} from './rope_config.ts'

const TWO_PI = 6.283185307179586

/** θ for a sequence of `length` tokens. */
function dynamicTheta({ theta, dim, factor, maxPositions }: RopeConfig, length: number): number {
  const stretch = (factor * Math.max(length, maxPositions)) / maxPositions - (factor - 1)
  // The exponent is chosen so that the longest wave is stretched by `stretch`; two dimensions have one.
  return dim > 2 ? theta * positivePower(stretch, dim / (dim - 2)) : theta
}

function llama3Frequency(frequency: number, config: RopeConfig): number {
  const { factor, originalMaxPositions, lowFreqFactor, highFreqFactor } = config
  const turns = (originalMaxPositions * frequency) / TWO_PI
  if (turns > highFreqFactor) {
    return frequency
  }
  if (turns < lowFreqFactor) {
    return frequency / factor
  }
  const smooth = (turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor)
  return ((1 - smooth) * frequency) / factor + smooth * frequency
}

/** The dimension whose wave turns `rotations` times within the original length. */
function yarnDimension(
  rotations: number,
  { dim, theta, originalMaxPositions }: RopeConfig,
): number {
  return (dim * log(originalMaxPositions / (rotations * TWO_PI))) / (2 * log(theta))
}

function yarnFrequency(frequency: number, i: number, config: RopeConfig): number {
  const first = yarnDimension(config.betaFast, config)
  const last = yarnDimension(config.betaSlow, config)
  const low = Math.max(config.truncate ? Math.floor(first) : first, 0)
  const high = Math.min(config.truncate ? Math.ceil(last) : last, config.dim - 1)
  // A range of no width would divide by zero; transformers widens it by the same amount.
  const width = high === low ? 0.001 : high - low
  const ramp = Math.min(Math.max((i - low) / width, 0), 1)
  return (frequency / config.factor) * ramp + frequency * (1 - ramp)
}

/** f(i) for i < dim / 2, of a sequence of `length` tokens. */
export function ropeFrequencies(config: RopeConfig, length: number = 0): Float64Array {
  const { type, dim, theta, factor, shortFactors, longFactors } = config
  const base = type === 'dynamic' ? dynamicTheta(config, length) : theta
  const divisors = length > config.originalMaxPositions ? longFactors : shortFactors
  return Float64Array.from({ length: dim / 2 }, (_, i) => {
    const frequency = 1 / positivePower(base, (2 * i) / dim)
    switch (type) {
      case 'linear':
        return frequency / factor
      case 'llama3':
        return llama3Frequency(frequency, config)
      case 'yarn':
        return yarnFrequency(frequency, i, config)
      case 'longrope':
        return frequency / divisors[i]
      default:
        return frequency
    }
  })
}

/** What the frequencies of a sequence depend on besides the configuration. */
function lengthClass(config: RopeConfig, length: number): number {
  switch (config.type) {
    case 'dynamic':
      return Math.max(length, config.maxPositions)
    case 'longrope':
      return length > config.originalMaxPositions ? 1 : 0
    default:
      return 0
  }
}

/** fn(p · f(i)) · attentionFactor for p < length: [length, dim / 2]. */
function tableOf(
  fn: (angle: number) => number,
  frequencies: Float64Array,
  length: number,
  { attentionFactor }: RopeConfig,
): Float64Array {
  const half = frequencies.length
  const values = new Float64Array(length * half)
  for (let p = 0; p < length; p++) {
    for (let i = 0; i < half; i++) {
      values[p * half + i] = fn(p * frequencies[i]) * attentionFactor
    }
  }
  return values
}

/**
 * cos and sin [positions, dim / 2] on the backend, made longer when longer sequences come.
 *
 * @example
 * ```ts
 * import { RopeTables, readRopeConfig } from 'lowrank/nn'
 *
 * const tables = new RopeTables(readRopeConfig('config.json', {}, 8), 2048)
 * console.log(tables.upTo(16).cos.shape) // [16, 4]
 * tables.dispose()
 * ```
 */
export class RopeTables {
  readonly #config: RopeConfig
  readonly #most: number
  readonly #backend: Backend = currentBackend()
  #length = 0
  #class = 0
  #cos: PersistentTensor | undefined
  #sin: PersistentTensor | undefined

  /** Tables for at most `most` positions. */
  constructor(config: RopeConfig, most: number) {
    this.#config = config
    this.#most = most
  }

  /** Tables for a sequence of `length` tokens; they may be longer. */
  upTo(length: number): { readonly cos: Tensor; readonly sin: Tensor } {
    const wanted = lengthClass(this.#config, length)
    if (!this.#cos || !this.#sin || length > this.#length || wanted !== this.#class) {
      this.#make(length, wanted)
    }
    return { cos: this.#cos as Tensor, sin: this.#sin as Tensor }
  }

  dispose(): void {
    for (const table of [this.#cos, this.#sin]) {
      // A step may still need the tables it has used; these go when they are collected.
      if (table && table.storage.holds === 0) {
        table.dispose()
      }
    }
    this.#cos = undefined
    this.#sin = undefined
    this.#length = 0
  }

  #make(length: number, wanted: number): void {
    const doubled = Math.min(this.#most, 2 * this.#length)
    const rows = Math.max(length, lengthClass(this.#config, doubled) === wanted ? doubled : 0)
    this.dispose()
    const frequencies = ropeFrequencies(this.#config, length)
    const table = (fn: (angle: number) => number): PersistentTensor => {
      const values = tableOf(fn, frequencies, rows, this.#config)
      const storage = storageOf(values, 'float32', this.#backend)
      return new PersistentTensor(storage, [rows, frequencies.length])
    }
    this.#cos = table(cos)
    this.#sin = table(sin)
    this.#length = rows
    this.#class = wanted
  }
}
