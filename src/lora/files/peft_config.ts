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

/**
 * Keys that say where a file came from, how it is to be loaded, or what its layers say already: no
 * influence on the result.
 */
const DESCRIPTIVE: Json = {
  auto_mapping: null,
  base_model_name_or_path: null,
  fan_in_fan_out: false,
  inference_mode: true,
  megatron_config: null,
  megatron_core: 'megatron.core',
  peft_version: '0.21.0',
  qalora_group_size: 16,
  revision: null,
}

/** The keys that are options here, where they are spelled in camel case. */
const OPTIONS: readonly string[] = [
  'alpha_pattern',
  'bias',
  'ensure_weight_tying',
  'exclude_modules',
  'init_lora_weights',
  'layers_pattern',
  'layers_to_transform',
  'lora_alpha',
  'lora_bias',
  'lora_dropout',
  'modules_to_save',
  'r',
  'rank_pattern',
  'target_modules',
  'target_parameters',
  'task_type',
  'trainable_token_indices',
  'use_dora',
  'use_rslora',
]

function optionOf(key: string): keyof LoraConfig {
  return key.replace(/_(.)/g, (_, letter) => letter.toUpperCase()) as keyof LoraConfig
}

const TASKS: readonly unknown[] = [
  'SEQ_CLS',
  'SEQ_2_SEQ_LM',
  'CAUSAL_LM',
  'TOKEN_CLS',
  'QUESTION_ANS',
  'FEATURE_EXTRACTION',
  null,
  undefined,
]

export interface PeftConfigOptions {
  /** What the file says its base is: a hub name or a path. */
  readonly baseModelNameOrPath?: string
  /** Whether weights are stored as [in, out], which PEFT finds out and writes down. */
  readonly fanInFanOut?: boolean
}

/** The text of adapter_config.json: sorted keys, two spaces, as Python's json.dumps. */
export function encodePeftConfig(config: ResolvedConfig, options: PeftConfigOptions = {}): string {
  const values: Record<string, unknown> = {
    ...NEUTRAL,
    ...DESCRIPTIVE,
    base_model_name_or_path: options.baseModelNameOrPath ?? null,
    fan_in_fan_out: options.fanInFanOut ?? false,
    peft_type: 'LORA',
  }
  for (const key of OPTIONS) {
    values[key] = config[optionOf(key)] ?? NEUTRAL[key] ?? null
  }
  const sorted = Object.keys(values).sort()
  // Python writes 0.0 where JavaScript cannot tell a float from an integer.
  const text = JSON.stringify(Object.fromEntries(sorted.map(key => [key, values[key]])), null, 2)
  return text.replace(/("lora_dropout": 0)(?=[,\n])/, '$1.0')
}

/** Keys whose presence makes another kind of layer, even where they say nothing more. */
const VARIANTS: readonly string[] = ['arrow_config', 'kasa_config']

function isNeutral(key: string, value: unknown): boolean {
  const neutral = NEUTRAL[key]
  const empty = value === null || value === false || value === undefined
  const noEntries = typeof value === 'object' && !hasEntries(value) && !VARIANTS.includes(key)
  return empty || noEntries || value === neutral
}

function keyProblems(json: Json): string[] {
  return Object.keys(NEUTRAL)
    .filter(key => !OPTIONS.includes(key) && !isNeutral(key, json[key]))
    .map(key => `${key} is ${JSON.stringify(json[key])}, which this library cannot apply`)
}

/** Whether a value is a list or a text of nothing. */
function isEmpty(value: unknown): boolean {
  return (value as { readonly length?: number } | null | undefined)?.length === 0
}

function hasEntries(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length > 0
}

/** Values for which PEFT's readers have no default, or none that they mean. */
function requiredProblems(json: Json): string[] {
  const problems: string[] = []
  const expect = (key: string, ok: boolean, wanted: string): void => {
    if (!ok) {
      problems.push(`${key}: expected ${wanted}, got ${JSON.stringify(json[key])}`)
    }
  }
  expect('peft_type', json.peft_type === 'LORA', '"LORA"')
  expect('task_type', TASKS.includes(json.task_type), 'a task of PEFT')
  for (const key of ['r', 'lora_alpha', 'lora_dropout']) {
    expect(key, !(key in json) || typeof json[key] === 'number', 'a number')
  }
  for (const key of ['rank_pattern', 'alpha_pattern']) {
    expect(key, json[key] !== null, 'a value')
  }
  expect('bias', !('bias' in json) || typeof json.bias === 'string', '"none", "all" or "lora_only"')
  const hasTargets = !isEmpty(json.target_modules) || hasEntries(json.target_parameters)
  expect('target_modules', hasTargets, 'names, a pattern, or null')
  expect('trainable_token_indices', !isEmpty(json.trainable_token_indices), 'tokens, or null')
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
  for (const key of OPTIONS) {
    const absent = Object.hasOwn(NEUTRAL, key)
      ? isNeutral(key, values[key])
      : (values[key] ?? null) === null
    if (!absent) {
      config[optionOf(key)] = values[key]
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
