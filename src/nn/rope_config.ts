// What a model's config.json says about its rotary embeddings: `rope_parameters` (transformers 5), or
// `rope_theta` and `rope_scaling` (transformers 4), with transformers' defaults.

import { throwAll } from '../core/errors.ts'
import { log } from '../core/math.ts'

export const ROPE_TYPES = ['default', 'linear', 'dynamic', 'llama3', 'yarn', 'longrope'] as const

export type RopeType = (typeof ROPE_TYPES)[number]

export interface RopeConfig {
  readonly type: RopeType
  /** The size of what is rotated, the first part of a head: an even number. */
  readonly dim: number
  readonly theta: number
  readonly factor: number
  /** The longest sequence the model is meant for, and the longest it was pretrained with. */
  readonly maxPositions: number
  readonly originalMaxPositions: number
  /** llama3: waves that turn less often than the first within the original length are stretched. */
  readonly lowFreqFactor: number
  readonly highFreqFactor: number
  /** yarn: turns within the original length at which its ramp begins and ends. */
  readonly betaFast: number
  readonly betaSlow: number
  readonly truncate: boolean
  /** longrope: divisors of the frequencies, dim / 2 of them, up to the original length and beyond. */
  readonly shortFactors: readonly number[]
  readonly longFactors: readonly number[]
  /** What cos and sin are multiplied by. */
  readonly attentionFactor: number
}

type Json = Readonly<Record<string, unknown>>

function objectOf(value: unknown): Json {
  return typeof value === 'object' && value !== null ? (value as Json) : {}
}

/** Reads fields, collecting what is wrong with them. */
class Fields {
  readonly problems: string[] = []
  readonly #json: Json

  constructor(json: Json) {
    this.#json = json
  }

  has(key: string): boolean {
    return this.#json[key] !== undefined && this.#json[key] !== null
  }

  /** A number above 0; required where there is no fallback. */
  number(key: string, fallback?: unknown): number {
    const value = this.#json[key] ?? fallback
    if (typeof value !== 'number' || !(value > 0) || !Number.isFinite(value)) {
      this.problems.push(`rope: ${key}: expected a number above 0, got ${JSON.stringify(value)}`)
      return 1
    }
    return value
  }

  numbers(key: string, count: number): number[] {
    const value = this.#json[key]
    const fits = Array.isArray(value) && value.length === count && value.every(n => n > 0)
    if (!fits) {
      this.problems.push(
        `rope: ${key}: expected ${count} numbers above 0, got ${JSON.stringify(value)}`,
      )
      return []
    }
    return value
  }

  type(): RopeType {
    const value = String(this.#json.rope_type ?? this.#json.type ?? 'default')
    const type = (value === 'su' ? 'longrope' : value) as RopeType
    if (!ROPE_TYPES.includes(type)) {
      this.problems.push(
        `rope: rope_type: expected ${ROPE_TYPES.join(', ')}, got ${JSON.stringify(value)}`,
      )
    }
    return type
  }
}

/** 0.1 · weight · ln(factor) + 1: YaRN's temperature (arXiv 2309.00071, equation 22). */
function yarnScale(factor: number, weight: number): number {
  return factor > 1 ? 0.1 * weight * log(factor) + 1 : 1
}

function yarnAttention(fields: Fields, factor: number): number {
  if (fields.has('mscale') && fields.has('mscale_all_dim')) {
    const all = yarnScale(factor, fields.number('mscale_all_dim'))
    return yarnScale(factor, fields.number('mscale')) / all
  }
  return yarnScale(factor, 1)
}

/** √(1 + ln(stretch) / ln(original length)): LongRoPE (arXiv 2402.13753) as Phi-3 uses it. */
function longAttention(stretch: number, original: number): number {
  return stretch <= 1 ? 1 : Math.sqrt(1 + log(stretch) / log(original))
}

/** What cos and sin are multiplied by: as the file says, or as the type derives it. */
function attentionFactor(
  type: RopeType,
  fields: Fields,
  { factor, originalMaxPositions }: Pick<RopeConfig, 'factor' | 'originalMaxPositions'>,
): number {
  if (type !== 'yarn' && type !== 'longrope') {
    return 1
  }
  if (fields.has('attention_factor')) {
    return fields.number('attention_factor')
  }
  return type === 'yarn'
    ? yarnAttention(fields, factor)
    : longAttention(factor, originalMaxPositions)
}

function rotatedDim(fields: Fields, json: Json, headDim: number): number {
  const share = json.partial_rotary_factor ?? json.rotary_pct ?? 1
  const dim = Math.floor(headDim * fields.number('partial_rotary_factor', share))
  if (dim % 2 !== 0) {
    fields.problems.push(`rope: expected an even number of rotated dimensions, got ${dim}`)
  }
  return dim
}

/**
 * The rotary embeddings of a config.json, for heads of `headDim`. Throws a `config` error that lists
 * everything it cannot use.
 *
 * @example
 * ```ts
 * import { readRopeConfig } from 'lowrank/nn'
 *
 * const config = readRopeConfig('config.json', { rope_theta: 500000 }, 64)
 * console.log(config.type, config.dim) // default 64
 * ```
 */
export function readRopeConfig(where: string, json: Json, headDim: number): RopeConfig {
  const fields = new Fields({ ...objectOf(json.rope_scaling), ...objectOf(json.rope_parameters) })
  const type = fields.type()
  const dim = rotatedDim(fields, json, headDim)
  const maxPositions = Number(json.max_position_embeddings ?? 2048)
  const original = fields.number(
    'original_max_position_embeddings',
    json.original_max_position_embeddings ?? maxPositions,
  )
  const stretches = type === 'linear' || type === 'dynamic' || type === 'yarn' || type === 'llama3'
  const factor = fields.number('factor', stretches ? undefined : maxPositions / original)
  const bands = type === 'llama3' ? undefined : 1
  const isLong = type === 'longrope'
  const config: RopeConfig = {
    type,
    dim,
    theta: fields.number('rope_theta', json.rope_theta ?? json.rotary_emb_base ?? 10000),
    factor,
    maxPositions,
    originalMaxPositions: original,
    lowFreqFactor: fields.number('low_freq_factor', bands),
    highFreqFactor: fields.number('high_freq_factor', bands),
    betaFast: fields.number('beta_fast', 32),
    betaSlow: fields.number('beta_slow', 1),
    truncate: objectOf(json.rope_parameters ?? json.rope_scaling).truncate !== false,
    shortFactors: isLong ? fields.numbers('short_factor', dim / 2) : [],
    longFactors: isLong ? fields.numbers('long_factor', dim / 2) : [],
    attentionFactor: attentionFactor(type, fields, { factor, originalMaxPositions: original }),
  }
  throwAll('config', where, fields.problems)
  return config
}

/**
 * How many positions the frequencies are meant for. Configurations of transformers often keep the length
 * of the pretraining as `max_position_embeddings` beside the factor that goes beyond it.
 */
export function stretchedPositions(config: RopeConfig): number {
  const { factor, maxPositions, originalMaxPositions } = config
  return Math.max(maxPositions, Math.floor(factor * originalMaxPositions))
}
