// What LoRA is to be: PEFT's LoraConfig in camelCase, its defaults, and every mistake in it at once.
// Names and defaults: PEFT 0.21, `peft.LoraConfig`.

import { throwAll } from '../core/errors.ts'
import type { Extension, OptionCheck } from './extension.ts'
import type { BiasConfig } from './options/bias.ts'
import type { FusedConfig } from './options/fused.ts'
import type { LayersConfig } from './options/layers.ts'
import type { ModulesConfig } from './options/modules.ts'
import type { ParametersConfig } from './options/parameters.ts'
import type { TokensConfig } from './options/tokens.ts'
import type { DoraConfig } from './variants/dora.ts'
import type { LoraFaConfig } from './variants/lora_fa.ts'

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
   * `true`: A Kaiming uniform, B zero; `false`: B random too. Names are those of initialisations in
   * `lowrank/lora`.
   */
  readonly initLoraWeights?: boolean | string
  readonly taskType?: string
}

/** Every option of `attach` in `lowrank/lora`. */
export interface LoraConfig
  extends PlainLoraConfig,
    BiasConfig,
    DoraConfig,
    FusedConfig,
    LayersConfig,
    LoraFaConfig,
    ModulesConfig,
    ParametersConfig,
    TokensConfig {
  /** Whether weights are stored as [in, out]; every layer says so itself, so it is not looked at. */
  readonly fanInFanOut?: boolean
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

const RANK = 'a whole number from 1 up'
const NUMBER = 'a finite number'

function isRank(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) > 0
}

function unless(ok: boolean, wanted: string): string | undefined {
  return ok ? undefined : wanted
}

/** A check of true or false. */
export const isFlag: OptionCheck = value => unless(typeof value === 'boolean', 'true or false')

/** A check of a string or a list of strings. */
export const isNames: OptionCheck = value =>
  unless(
    [value].flat().every(name => typeof name === 'string'),
    'a string or a list of strings',
  )

function isPattern(fits: (value: unknown) => boolean, wanted: string): OptionCheck {
  return value =>
    unless(
      value instanceof Object && !Array.isArray(value) && Object.values(value).every(fits),
      `${wanted} for each pattern`,
    )
}

/** Whether a task has a head of its own, which is trained with the adapter. */
function hasHead(task: unknown): boolean {
  return /_(CLS|ANS)$/.test(String(task))
}

/** The options of plain LoRA. */
const CHECKS: Readonly<Record<keyof PlainLoraConfig, OptionCheck>> = {
  r: value => unless(isRank(value), RANK),
  loraAlpha: value => unless(Number.isFinite(value), NUMBER),
  loraDropout: value => unless(Number(value) >= 0 && Number(value) < 1, 'a number in [0, 1)'),
  targetModules: isNames,
  excludeModules: isNames,
  rankPattern: /* @__PURE__ */ isPattern(isRank, RANK),
  alphaPattern: /* @__PURE__ */ isPattern(value => Number.isFinite(value), NUMBER),
  useRslora: isFlag,
  loraBias: isFlag,
  initLoraWeights: (value, _config, extensions) => {
    const names = extensions.flatMap(({ initialisations = [] }) => initialisations)
    const known = names.some(name => name === value || (name as RegExp).test?.(String(value)))
    const shown = names.map(name => (typeof name === 'string' ? name : name.source.slice(1, -1)))
    return unless(value === !!value || known, ['true, false', ...shown].join(', '))
  },
  taskType: (value, _config, extensions) =>
    unless(extensions.length > 0 || !hasHead(value), 'one whose head is not trained'),
}

/** All mistakes of a configuration, as sentences; an empty list is a valid one. */
export function configProblems(config: LoraConfig, extensions: readonly Extension[]): string[] {
  const checks: Readonly<Record<string, OptionCheck | undefined>> = Object.assign(
    {},
    CHECKS,
    ...extensions.map(({ options }) => options),
  )
  return Object.entries(config).flatMap(([name, value]) => {
    const check = Object.hasOwn(checks, name) ? checks[name] : undefined
    if (!check) {
      const known = Object.keys(checks).join(', ')
      return `${name}: unknown option (known: ${known}; more in lowrank/lora)`
    }
    const wanted = value === undefined ? undefined : check(value, config, extensions)
    return wanted ? `${name}: expected ${wanted}, got ${JSON.stringify(value)}` : []
  })
}

/** Fills in the defaults; throws a `config` error that lists every mistake. */
export function resolveConfig(
  config: LoraConfig,
  extensions: readonly Extension[],
): ResolvedConfig {
  throwAll('config', 'lora', configProblems(config, extensions))
  return { ...DEFAULTS, ...config }
}

/** What multiplies B·A: alpha / r, or alpha / √r with rank-stabilised scaling. */
export function scalingOf(r: number, alpha: number, useRslora: boolean): number {
  return useRslora ? alpha / Math.sqrt(r) : alpha / r
}

/** Whether a configuration is one of plain LoRA, which needs no extension. */
export function isPlainConfig(config: LoraConfig): boolean {
  const { initLoraWeights: init, taskType } = config
  const known = Object.keys(config).every(name => name in CHECKS)
  return known && typeof init !== 'string' && !hasHead(taskType)
}
