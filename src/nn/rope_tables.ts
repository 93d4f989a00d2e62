// Frequencies and tables of rotary embeddings, in float64: angle(p, i) = p · f(i), i < D/2, with
// f(i) = θ^(−2i/D) and the changes of each rope type:
//
//   linear   f / factor                                        (Chen et al. 2023, arXiv 2306.15595)
//   llama3   long waves / factor, short ones as they are, a ramp between       (Llama 3.1's config)
//   yarn     the same with a ramp over the dimensions, cos and sin scaled (Peng et al., 2309.00071)

import { type Backend, currentBackend } from '../core/backend.ts'
import { throwAll } from '../core/errors.ts'
import { cos, log, pow, sin } from '../core/math.ts'
import { PersistentTensor, storageOf, type Tensor } from '../core/tensor.ts'

export const ROPE_TYPES = ['default', 'linear', 'llama3', 'yarn'] as const

export type RopeType = (typeof ROPE_TYPES)[number]

export interface RopeConfig {
  readonly type: RopeType
  /** The size of what is rotated: an even number. */
  readonly dim: number
  readonly theta: number
  readonly factor: number
  readonly originalMaxPositions: number
  readonly lowFreqFactor: number
  readonly highFreqFactor: number
  readonly betaFast: number
  readonly betaSlow: number
  /** What cos and sin are multiplied by. */
  readonly attentionFactor: number
}

type Json = Readonly<Record<string, unknown>>

function objectOf(value: unknown): Json {
  return typeof value === 'object' && value !== null ? (value as Json) : {}
}

/** YaRN's default temperature, 0.1·ln(factor) + 1. */
function yarnAttention(factor: number): number {
  return factor > 1 ? 0.1 * log(factor) + 1 : 1
}

/**
 * Reads `rope_parameters` (transformers 5), or `rope_theta` and `rope_scaling` (transformers 4).
 * Throws a `config` error that lists everything it cannot use.
 */
export function readRopeConfig(where: string, json: Json, headDim: number): RopeConfig {
  const parameters = { ...objectOf(json.rope_scaling), ...objectOf(json.rope_parameters) }
  const problems: string[] = []
  const number = (key: string, fallback: number): number => {
    const value = parameters[key] ?? fallback
    if (typeof value !== 'number' || !(value > 0) || !Number.isFinite(value)) {
      problems.push(`rope: ${key}: expected a number above 0, got ${JSON.stringify(value)}`)
      return 1
    }
    return value
  }
  const type = String(parameters.rope_type ?? parameters.type ?? 'default') as RopeType
  if (!ROPE_TYPES.includes(type)) {
    problems.push(`rope: rope_type: expected ${ROPE_TYPES.join(', ')}, got ${JSON.stringify(type)}`)
  }
  const share = number('partial_rotary_factor', Number(json.partial_rotary_factor ?? 1))
  const dim = Math.floor(headDim * share)
  if (dim % 2 !== 0) {
    problems.push(`rope: expected an even number of rotated dimensions, got ${dim}`)
  }
  const factor = number('factor', 1)
  const config: RopeConfig = {
    type,
    dim,
    theta: number('rope_theta', typeof json.rope_theta === 'number' ? json.rope_theta : 10000),
    factor,
    originalMaxPositions: number(
      'original_max_position_embeddings',
      Number(json.max_position_embeddings ?? 2048),
    ),
    lowFreqFactor: number('low_freq_factor', 1),
    highFreqFactor: number('high_freq_factor', 4),
    betaFast: number('beta_fast', 32),
    betaSlow: number('beta_slow', 1),
    attentionFactor: type === 'yarn' ? number('attention_factor', yarnAttention(factor)) : 1,
  }
  throwAll('config', where, problems)
  return config
}

const TWO_PI = 2 * 3.141592653589793

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
  const low = Math.max(Math.floor(yarnDimension(config.betaFast, config)), 0)
  const high = Math.min(Math.ceil(yarnDimension(config.betaSlow, config)), config.dim - 1)
  // A range of no width would divide by zero; transformers widens it by the same amount.
  const width = high === low ? 0.001 : high - low
  const ramp = Math.min(Math.max((i - low) / width, 0), 1)
  return (frequency / config.factor) * ramp + frequency * (1 - ramp)
}

/** f(i) for i < dim / 2. */
export function ropeFrequencies(config: RopeConfig): Float64Array {
  return Float64Array.from({ length: config.dim / 2 }, (_, i) => {
    const frequency = 1 / pow(config.theta, (2 * i) / config.dim)
    switch (config.type) {
      case 'linear':
        return frequency / config.factor
      case 'llama3':
        return llama3Frequency(frequency, config)
      case 'yarn':
        return yarnFrequency(frequency, i, config)
      default:
        return frequency
    }
  })
}

/** cos and sin [positions, dim / 2], persistent, made longer when longer sequences come. */
export class RopeTables {
  readonly #config: RopeConfig
  readonly #most: number
  readonly #backend: Backend = currentBackend()
  #length = 0
  #cos: PersistentTensor | undefined
  #sin: PersistentTensor | undefined

  /** Tables for at most `most` positions. */
  constructor(config: RopeConfig, most: number) {
    this.#config = config
    this.#most = most
  }

  /** Tables for at least the first `length` positions. */
  upTo(length: number): { readonly cos: Tensor; readonly sin: Tensor } {
    if (!this.#cos || !this.#sin || length > this.#length) {
      this.#make(Math.min(this.#most, Math.max(length, 2 * this.#length)))
    }
    return { cos: this.#cos as Tensor, sin: this.#sin as Tensor }
  }

  dispose(): void {
    this.#cos?.dispose()
    this.#sin?.dispose()
    this.#length = 0
  }

  #make(length: number): void {
    this.dispose()
    const frequencies = ropeFrequencies(this.#config)
    const half = frequencies.length
    const scale = this.#config.attentionFactor
    const table = (fn: (angle: number) => number): PersistentTensor => {
      const values = new Float64Array(length * half)
      for (let p = 0; p < length; p++) {
        for (let i = 0; i < half; i++) {
          values[p * half + i] = fn(p * frequencies[i]) * scale
        }
      }
      const storage = storageOf(values, 'float32', this.#backend)
      return new PersistentTensor(storage, [length, half])
    }
    this.#cos = table(cos)
    this.#sin = table(sin)
    this.#length = length
  }
}
