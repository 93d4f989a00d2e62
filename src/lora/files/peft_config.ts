// adapter_config.json as PEFT 0.21 writes it, both ways. Keys that this library has no use for are
// written with PEFT's neutral values; read, they must be neutral, or the result would be another.

import { throwAll } from '../../core/errors.ts'
import { configProblems, type LoraConfig, type ResolvedConfig, resolveConfig } from '../config.ts'
import type { Extension } from '../extension.ts'

type Json = Readonly<Record<string, unknown>>

/** Keys of PEFT's file that may be unused, with the value that says so. */
const NEUTRAL: Json = {
  alora_invocation_tokens: null,
  arrow_config: null,
  bias: 'none',
  corda_config: null,
  ensure_weight_tying: false,
  eva_config: null,
  fan_in_fan_out: false,
  kasa_config: null,
  layer_replication: null,
  layers_pattern: null,
  layers_to_transform: null,
  loftq_config: {},
  lora_ga_config: null,
  modules_to_save: null,
  monteclora_config: null,
  target_parameters: null,
  trainable_token_indices: null,
  use_bdlora: null,
  use_dora: false,
  use_qalora: false,
  velora_config: null,
}

/** Keys that say where a file came from or how it is to be loaded: no influence on the result. */
const DESCRIPTIVE: Json = {
  auto_mapping: null,
  base_model_name_or_path: null,
  inference_mode: true,
  megatron_config: null,
  megatron_core: 'megatron.core',
  peft_version: '0.21.0',
  qalora_group_size: 16,
  revision: null,
}

/** The keys that are options here, by their name in `LoraConfig`. */
const OPTIONS: Readonly<Record<string, keyof ResolvedConfig>> = {
  alpha_pattern: 'alphaPattern',
  exclude_modules: 'excludeModules',
  init_lora_weights: 'initLoraWeights',
  lora_alpha: 'loraAlpha',
  lora_bias: 'loraBias',
  lora_dropout: 'loraDropout',
  r: 'r',
  rank_pattern: 'rankPattern',
  target_modules: 'targetModules',
  task_type: 'taskType',
  use_dora: 'useDora',
  use_rslora: 'useRslora',
}

export interface PeftConfigOptions {
  /** What the file says its base is: a hub name or a path. */
  readonly baseModelNameOrPath?: string
}

/** The text of adapter_config.json: sorted keys, two spaces, as Python's json.dumps. */
export function encodePeftConfig(config: ResolvedConfig, options: PeftConfigOptions = {}): string {
  const values: Record<string, unknown> = {
    ...NEUTRAL,
    ...DESCRIPTIVE,
    base_model_name_or_path: options.baseModelNameOrPath ?? null,
    peft_type: 'LORA',
  }
  for (const [key, option] of Object.entries(OPTIONS)) {
    values[key] = config[option] ?? NEUTRAL[key] ?? null
  }
  const sorted = Object.keys(values).sort()
  // Python writes 0.0 and 8.0 where JavaScript cannot tell a float from an integer.
  const text = JSON.stringify(Object.fromEntries(sorted.map(key => [key, values[key]])), null, 2)
  return text.replace(/("lora_dropout": -?\d+)(?=[,\n])/, '$1.0')
}

function isNeutral(key: string, value: unknown): boolean {
  const neutral = NEUTRAL[key]
  const empty = value === null || value === false || value === undefined
  const noEntries = typeof value === 'object' && value !== null && Object.keys(value).length === 0
  return empty || noEntries || value === neutral
}

function keyProblems(json: Json): string[] {
  const problems: string[] = []
  for (const [key, value] of Object.entries(json)) {
    if (key in NEUTRAL && !(key in OPTIONS) && !isNeutral(key, value)) {
      problems.push(`${key} is ${JSON.stringify(value)}, which this library cannot apply`)
    }
  }
  return problems
}

function requiredProblems(json: Json): string[] {
  const problems: string[] = []
  if (json.peft_type !== 'LORA') {
    problems.push(`peft_type: expected "LORA", got ${JSON.stringify(json.peft_type)}`)
  }
  if (json.target_modules === null || json.target_modules === undefined) {
    problems.push('target_modules: expected a list or a pattern, got none')
  }
  for (const key of ['r', 'lora_alpha']) {
    if (key in json && typeof json[key] !== 'number') {
      problems.push(`${key}: expected a number, got ${JSON.stringify(json[key])}`)
    }
  }
  return problems
}

/**
 * The options in adapter_config.json's value, as they stand there; those that are not used are left
 * out. Throws a `config` error for what no extension could apply.
 */
export function readPeftOptions(where: string, json: unknown): LoraConfig {
  if (json === null || typeof json !== 'object' || Array.isArray(json)) {
    throwAll('config', where, [`expected an object, got ${JSON.stringify(json)}`])
  }
  const values = json as Json
  const config: Record<string, unknown> = {}
  for (const [key, option] of Object.entries(OPTIONS)) {
    const absent = key in NEUTRAL ? isNeutral(key, values[key]) : (values[key] ?? null) === null
    if (!absent) {
      config[option] = values[key]
    }
  }
  throwAll('config', where, [...requiredProblems(values), ...keyProblems(values)])
  return config
}

/** Reads adapter_config.json's value; throws a `config` error that lists everything wrong. */
export function decodePeftConfig(
  where: string,
  json: unknown,
  extensions: readonly Extension[],
): ResolvedConfig {
  const config = readPeftOptions(where, json)
  throwAll('config', where, configProblems(config, extensions))
  return resolveConfig(config, extensions)
}
