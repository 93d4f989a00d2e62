// What LoRA is to be: PEFT's LoraConfig in camelCase, its defaults, and every mistake in it at once.
// Names and defaults: PEFT 0.21, `peft.LoraConfig`.

import { throwAll } from '../core/errors.ts'

/** Options of `attach`; every one has PEFT's default. */
export interface LoraConfig {
  /** The rank of the update. */
  readonly r?: number
  /** The update is scaled by loraAlpha / r (loraAlpha / √r with useRslora). */
  readonly loraAlpha?: number
  /** The probability with which an element of the update's input is dropped while training. */
  readonly loraDropout?: number
  /**
   * Which layers: names that match whole dotted suffixes, a pattern that matches whole paths, or
   * `'all-linear'`. Absent: PEFT's choice for the model type, else all linear layers.
   */
  readonly targetModules?: readonly string[] | string
  /** Layers left out of `targetModules`, matched in the same way. */
  readonly excludeModules?: readonly string[] | string
  /** Ranks of single layers: pattern at a dotted suffix → rank; the first match wins. */
  readonly rankPattern?: Readonly<Record<string, number>>
  /** Alphas of single layers, matched as in `rankPattern`. */
  readonly alphaPattern?: Readonly<Record<string, number>>
  /** Scale by loraAlpha / √r (Kalajdzievski 2023, arXiv 2312.03732). */
  readonly useRslora?: boolean
  /** Whether B has a bias of its own. */
  readonly loraBias?: boolean
  /** `true`: A Kaiming uniform, B zero; `'gaussian'`: A normal with std 1/r; `false`: B random too. */
  readonly initLoraWeights?: boolean | 'gaussian'
  readonly taskType?: string
}

/** A configuration with every default filled in. */
export interface ResolvedConfig extends LoraConfig {
  readonly r: number
  readonly loraAlpha: number
  readonly loraDropout: number
  readonly rankPattern: Readonly<Record<string, number>>
  readonly alphaPattern: Readonly<Record<string, number>>
  readonly useRslora: boolean
  readonly loraBias: boolean
  readonly initLoraWeights: boolean | 'gaussian'
}

const DEFAULTS: ResolvedConfig = {
  r: 8,
  loraAlpha: 8,
  loraDropout: 0,
  rankPattern: {},
  alphaPattern: {},
  useRslora: false,
  loraBias: false,
  initLoraWeights: true,
}

const KNOWN: readonly string[] = [
  ...Object.keys(DEFAULTS),
  'targetModules',
  'excludeModules',
  'taskType',
]

function isRank(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) > 0
}

function isPattern(value: unknown): boolean {
  return (
    typeof value === 'string' ||
    (Array.isArray(value) && value.every(item => typeof item === 'string'))
  )
}

function patternProblems(
  name: string,
  pattern: Readonly<Record<string, unknown>>,
  fits: (value: unknown) => boolean,
  wanted: string,
): string[] {
  return Object.entries(pattern)
    .filter(([, value]) => !fits(value))
    .map(([key, value]) => `${name}["${key}"]: expected ${wanted}, got ${String(value)}`)
}

/** All mistakes of a configuration, as sentences; an empty list is a valid one. */
export function configProblems(config: LoraConfig): string[] {
  const full = { ...DEFAULTS, ...config }
  const problems: string[] = []
  const check = (ok: boolean, name: keyof LoraConfig, wanted: string): void => {
    if (!ok) {
      problems.push(`${name}: expected ${wanted}, got ${JSON.stringify(full[name])}`)
    }
  }
  for (const name of Object.keys(config)) {
    if (!KNOWN.includes(name)) {
      problems.push(`${name}: unknown option (known: ${KNOWN.join(', ')})`)
    }
  }
  check(isRank(full.r), 'r', 'a whole number from 1 up')
  check(Number.isFinite(full.loraAlpha), 'loraAlpha', 'a finite number')
  check(full.loraDropout >= 0 && full.loraDropout < 1, 'loraDropout', 'a number in [0, 1)')
  for (const name of ['targetModules', 'excludeModules'] as const) {
    check(full[name] === undefined || isPattern(full[name]), name, 'a string or a list of strings')
  }
  for (const name of ['useRslora', 'loraBias'] as const) {
    check(typeof full[name] === 'boolean', name, 'true or false')
  }
  check(
    typeof full.initLoraWeights === 'boolean' || full.initLoraWeights === 'gaussian',
    'initLoraWeights',
    "true, false or 'gaussian'",
  )
  problems.push(
    ...patternProblems('rankPattern', full.rankPattern, isRank, 'a whole number from 1 up'),
    ...patternProblems('alphaPattern', full.alphaPattern, Number.isFinite, 'a finite number'),
  )
  return problems
}

/** Fills in the defaults; throws a `config` error that lists every mistake. */
export function resolveConfig(config: LoraConfig): ResolvedConfig {
  throwAll('config', 'lora', configProblems(config))
  return { ...DEFAULTS, ...config }
}

/** What multiplies B·A: alpha / r, or alpha / √r with rank-stabilised scaling. */
export function scalingOf(r: number, alpha: number, useRslora: boolean): number {
  return useRslora ? alpha / Math.sqrt(r) : alpha / r
}
