// Which layers a configuration means: PEFT's rules. A list matches whole dotted suffixes of a
// module's path; a string is a pattern for the whole path; `all-linear` means every linear layer but
// the output layer; rank and alpha patterns match at a dotted suffix, the first one winning.

import { LowrankError } from '../core/errors.ts'

export const ALL_LINEAR = 'all-linear'

/**
 * PEFT's default targets, for the `defaultTargets` of models, by Hugging Face `model_type` (PEFT 0.21,
 * `TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING`).
 */
export const DEFAULT_TARGETS: Readonly<Record<string, readonly string[]>> = {
  llama: ['q_proj', 'v_proj'],
  mistral: ['q_proj', 'v_proj'],
  qwen2: ['q_proj', 'v_proj'],
  qwen3: ['q_proj', 'v_proj'],
  gemma: ['q_proj', 'v_proj'],
  gemma2: ['q_proj', 'v_proj'],
  gemma3_text: ['q_proj', 'v_proj'],
  phi3: ['qkv_proj'],
  gpt2: ['c_attn'],
  gpt_neox: ['query_key_value'],
  bert: ['query', 'value'],
  roberta: ['query', 'value'],
  distilbert: ['q_lin', 'v_lin'],
  vit: ['query', 'value'],
}

/**
 * A pattern of Python's `re` that a whole path must match. Paths have no backslashes and braces, so that these
 * stand for something wherever they are. Flags, as in `(?i)`, are an error.
 */
export function compilePattern(where: string, pattern: string): RegExp {
  const translated = pattern
    .replace(/\(\?P=(\w+)\)/g, '\\k<$1>')
    .replaceAll('(?P<', '(?<')
    .replaceAll('{,', '{0,')
    .replaceAll('\\A', '^')
    .replaceAll('\\Z', '$')
  try {
    return new RegExp(`^(?:${translated})$`)
  } catch (cause) {
    throw new LowrankError(
      'config',
      `${where}: "${pattern}" is not a valid pattern: ${(cause as Error).message}`,
      { cause },
    )
  }
}

/** Letters of a path that stand for something in a pattern. */
function escaped(path: string): string {
  return path.replace(/[^\w]/g, '\\$&')
}

/** The pattern for ranks and alphas that means one path alone, not those that end in it. */
export function exactPattern(path: string): string {
  return `^${escaped(path)}`
}

type Choice = 'excludeModules' | 'layersToTransform' | 'layersPattern' | 'targetParameters'

/** The options beside targets that choose layers, left out. */
export const NO_CHOICE: Readonly<Record<Choice, undefined>> = {
  excludeModules: undefined,
  layersToTransform: undefined,
  layersPattern: undefined,
  targetParameters: undefined,
}

/** Options that mean these of all paths and no other: a list, or a pattern where its names would mean more. */
export function exactChoice(
  paths: readonly string[],
  all: readonly string[],
): { readonly targetModules: readonly string[] | string } {
  const meant = new Set(all.filter(path => matchesTarget('targetModules', path, paths)))
  const more = meant.size > new Set(paths).size
  return { ...NO_CHOICE, targetModules: more ? paths.map(escaped).join('|') : paths }
}

function isSuffix(path: string, name: string): boolean {
  return path === name || path.endsWith(`.${name}`)
}

/** Whether a path is meant by a list of suffixes or by a pattern. */
export function matchesTarget(
  where: string,
  path: string,
  target: readonly string[] | string,
): boolean {
  return typeof target === 'string'
    ? compilePattern(where, target).test(path)
    : target.some(name => isSuffix(path, name))
}

/** The value of the first pattern that matches a dotted suffix of the path. */
export function patternValue(
  where: string,
  path: string,
  patterns: Readonly<Record<string, number>>,
): number | undefined {
  for (const [pattern, value] of Object.entries(patterns)) {
    if (compilePattern(where, `(?:.*\\.)?(?:${pattern})`).test(path)) {
      return value
    }
  }
  return undefined
}

/** How many letters must be added, removed or replaced to turn `a` into `b`. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, row[j] + 1, next[j - 1] + 1))
    }
    row = next
  }
  return row[b.length]
}

/** Up to three of `names` that a misspelt one may have meant, nearest first. */
export function nearMisses(wanted: string, names: Iterable<string>): string[] {
  const last = wanted.split('.').at(-1) ?? wanted
  const limit = Math.max(2, Math.floor(last.length / 3))
  return [...new Set(names)]
    .map(name => ({ name, distance: editDistance(last, name) }))
    .filter(({ distance }) => distance <= limit)
    .sort((a, b) => a.distance - b.distance)
    .slice(0, 3)
    .map(({ name }) => name)
}
