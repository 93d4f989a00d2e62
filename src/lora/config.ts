// What LoRA is to be: PEFT's LoraConfig in camelCase, its defaults, and every mistake in it at once.
// Names and defaults: PEFT 0.21, `peft.LoraConfig`.

import { throwAll } from '../core/errors.ts'
import type { Extension, OptionCheck } from './extension.ts'

/** Options of plain LoRA; every one has PEFT's default. */
export interface PlainLoraConfig {
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
  /**
   * `true`: A Kaiming uniform, B zero; `'gaussian'`: A normal with std 1/r; `false`: B random too. Other
   * names are those of initialisations in `lowrank/lora`.
   */
  readonly initLoraWeights?: boolean | string
  readonly taskType?: string
}

/** Every option of `attach` in `lowrank/lora`. */
export interface LoraConfig extends PlainLoraConfig {
  /** Weight-decomposed LoRA (Liu et al. 2024, arXiv 2402.09353). */
  readonly useDora?: boolean
  /** Keep A as it was drawn and train B alone (Zhang et al. 2023, arXiv 2308.03303). */
  readonly useLoraFa?: boolean
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
  readonly initLoraWeights: boolean | string
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

function optionProblems(config: LoraConfig, extensions: readonly Extension[]): string[] {
  const checks: Readonly<Record<string, OptionCheck | undefined>> = Object.assign(
    {},
    ...extensions.map(({ options }) => options),
  )
  const known = [...KNOWN, ...Object.keys(checks)]
  return Object.entries(config).flatMap(([name, value]) => {
    if (!known.includes(name)) {
      return `${name}: unknown option (known: ${known.join(', ')}; attach of lowrank/lora has all)`
    }
    const wanted = value === undefined ? undefined : checks[name]?.(value, config)
    return wanted ? `${name}: expected ${wanted}, got ${JSON.stringify(value)}` : []
  })
}

/** All mistakes of a configuration, as sentences; an empty list is a valid one. */
export function configProblems(
  config: LoraConfig,
  extensions: readonly Extension[] = [],
): string[] {
  const full = { ...DEFAULTS, ...config }
  const problems = optionProblems(config, extensions)
  const check = (ok: boolean, name: keyof LoraConfig, wanted: string): void => {
    if (!ok) {
      problems.push(`${name}: expected ${wanted}, got ${JSON.stringify(full[name])}`)
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
  const init = String(full.initLoraWeights)
  const inits = ['gaussian', ...extensions.flatMap(({ initialisations }) => initialisations ?? [])]
  check(
    typeof full.initLoraWeights === 'boolean' ||
      inits.some(name => name === init || (name instanceof RegExp && name.test(init))),
    'initLoraWeights',
    `true, false, ${inits.join(', ')}`,
  )
  problems.push(
    ...patternProblems('rankPattern', full.rankPattern, isRank, 'a whole number from 1 up'),
    ...patternProblems('alphaPattern', full.alphaPattern, Number.isFinite, 'a finite number'),
  )
  return problems
}

/** Fills in the defaults; throws a `config` error that lists every mistake. */
export function resolveConfig(
  config: LoraConfig,
  extensions: readonly Extension[] = [],
): ResolvedConfig {
  throwAll('config', 'lora', configProblems(config, extensions))
  return { ...DEFAULTS, ...config }
}

/** What multiplies B·A: alpha / r, or alpha / √r with rank-stabilised scaling. */
export function scalingOf(r: number, alpha: number, useRslora: boolean): number {
  return useRslora ? alpha / Math.sqrt(r) : alpha / r
}

/** Whether a configuration is one of plain LoRA, which needs no extension. */
export function isPlainConfig({ initLoraWeights: init, ...options }: LoraConfig): boolean {
  const plain = typeof init !== 'string' || init === 'gaussian'
  return plain && Object.keys(options).every(name => KNOWN.includes(name))
}
