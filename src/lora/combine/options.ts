// The options of `combine`: PEFT's names in camelCase (PEFT 0.21, `add_weighted_adapter`), the eleven
// ways as three choices each, and every mistake in a call at once.

import { throwAll } from '../../core/errors.ts'
import type { MajoritySignMethod } from './sign.ts'

/** How one way of combining works. */
export interface Rule {
  /** What is left out of each update first. */
  readonly pruning: 'none' | 'magnitude' | 'random'
  /** Whether each entry is the mean of the majority's sign instead of a sum. */
  readonly majority: boolean
  /** On what: A and B each for itself, both stacked, or the products s·B·A. */
  readonly on: 'factors' | 'stack' | 'products'
}

function rule(pruning: Rule['pruning'], majority: boolean, on: Rule['on']): Rule {
  return { pruning, majority, on }
}

/** The ways to combine adapters, by PEFT's names. */
export type CombinationType =
  | 'linear'
  | 'cat'
  | 'svd'
  | 'ties'
  | 'ties_svd'
  | 'dare_linear'
  | 'dare_ties'
  | 'dare_linear_svd'
  | 'dare_ties_svd'
  | 'magnitude_prune'
  | 'magnitude_prune_svd'

/** How each of them works. */
export const RULES: Readonly<Record<CombinationType, Rule>> = {
  linear: /* @__PURE__ */ rule('none', false, 'factors'),
  cat: /* @__PURE__ */ rule('none', false, 'stack'),
  svd: /* @__PURE__ */ rule('none', false, 'products'),
  ties: /* @__PURE__ */ rule('magnitude', true, 'factors'),
  ties_svd: /* @__PURE__ */ rule('magnitude', true, 'products'),
  dare_linear: /* @__PURE__ */ rule('random', false, 'factors'),
  dare_ties: /* @__PURE__ */ rule('random', true, 'factors'),
  dare_linear_svd: /* @__PURE__ */ rule('random', false, 'products'),
  dare_ties_svd: /* @__PURE__ */ rule('random', true, 'products'),
  magnitude_prune: /* @__PURE__ */ rule('magnitude', false, 'factors'),
  magnitude_prune_svd: /* @__PURE__ */ rule('magnitude', false, 'products'),
}

/** How adapters are combined. */
export interface CombineOptions {
  /** `svd` if absent. With a single adapter it is always `linear`, as in PEFT. */
  readonly combinationType?: CombinationType
  /** One factor for each adapter, negative ones subtract; 1 if absent. */
  readonly weights?: readonly number[]
  /** The rank after `svd` and its kind; the largest of the adapters' if absent. */
  readonly svdRank?: number
  /** Entries of the new factors are clamped to this quantile of them. */
  readonly svdClamp?: number
  /** The share of entries that pruning keeps, from 0 to 1. */
  readonly density?: number
  /** What elects a sign; `total` if absent. */
  readonly majoritySignMethod?: MajoritySignMethod
  /** The seed of `dare_*`; 0 if absent. */
  readonly seed?: number
  /**
   * Keeps rank-stabilised scaling on the result as PEFT 0.21 does, which multiplies it by √r. Only
   * for files that must behave as PEFT's do.
   */
  readonly peftRsloraScale?: boolean
}

/** Options with every default filled in. */
export interface CombineSettings {
  readonly type: CombinationType
  readonly rule: Rule
  readonly weights: readonly number[]
  readonly svdRank: number | undefined
  readonly svdClamp: number | undefined
  readonly density: number
  readonly majoritySignMethod: MajoritySignMethod
  readonly seed: number
}

/** What a call needs to know of an adapter. */
export interface CombinedAdapter {
  readonly name: string
  /** Its largest rank: that of its configuration, or a greater one of a pattern. */
  readonly r: number
  readonly targetModules: readonly string[] | string | undefined
}

function isShare(value: number): boolean {
  return value >= 0 && value <= 1
}

function ruleProblems(options: CombineOptions, adapters: readonly CombinedAdapter[]): string[] {
  const { combinationType = 'svd', density, majoritySignMethod = 'total' } = options
  const { svdRank, svdClamp } = options
  const known = RULES[combinationType] as Rule | undefined
  if (!known) {
    const names = Object.keys(RULES).join(', ')
    return [`combinationType: expected one of ${names}, got ${JSON.stringify(combinationType)}`]
  }
  const problems: string[] = []
  if ((known.pruning !== 'none' && density === undefined) || !isShare(density ?? 1)) {
    problems.push(
      `density: expected a share of entries to keep, from 0 to 1, for ${combinationType}, got ${density}`,
    )
  }
  if (known.pruning === 'random' && density === 0) {
    problems.push(
      `density: expected more than 0 for ${combinationType}, which divides by it, got 0`,
    )
  }
  if (!['total', 'frequency'].includes(majoritySignMethod)) {
    problems.push(
      `majoritySignMethod: expected 'total' or 'frequency', got ${JSON.stringify(majoritySignMethod)}`,
    )
  }
  if (svdRank !== undefined && !(Number.isInteger(svdRank) && svdRank > 0)) {
    problems.push(`svdRank: expected a whole number from 1 up, got ${svdRank}`)
  }
  if (!isShare(svdClamp ?? 1)) {
    problems.push(`svdClamp: expected a quantile from 0 to 1, got ${svdClamp}`)
  }
  const ranks = adapters.map(({ r }) => r)
  if (known.on === 'factors' && new Set(ranks).size > 1) {
    problems.push(
      `${combinationType} adds factors entry by entry, so the ranks must be equal, got ` +
        `${ranks.join(', ')} (cat and svd take any)`,
    )
  }
  return problems
}

function adapterProblems(
  { weights }: CombineOptions,
  adapters: readonly CombinedAdapter[],
): string[] {
  const problems: string[] = []
  if (adapters.length === 0) {
    problems.push('expected at least one adapter, got none')
  }
  if (weights && weights.length !== adapters.length) {
    problems.push(`weights: expected one for each of ${adapters.length}, got ${weights.length}`)
  }
  for (const weight of weights ?? []) {
    if (!Number.isFinite(weight)) {
      problems.push(`weights: expected finite numbers, got ${weight}`)
    }
  }
  const patterns = adapters.filter(({ targetModules }) => typeof targetModules === 'string')
  if (patterns.length > 0 && patterns.length < adapters.length) {
    problems.push(
      `targetModules: expected either lists or patterns, got a pattern for ` +
        `"${patterns[0].name}" alone`,
    )
  }
  return problems
}

/** Fills in the defaults; throws a `config` error that lists every mistake. */
export function combineSettings(
  where: string,
  options: CombineOptions,
  adapters: readonly CombinedAdapter[],
): CombineSettings {
  throwAll('config', where, [
    ...adapterProblems(options, adapters),
    ...ruleProblems(options, adapters),
  ])
  const type = adapters.length === 1 ? 'linear' : (options.combinationType ?? 'svd')
  return {
    type,
    rule: RULES[type],
    weights: options.weights ?? adapters.map(() => 1),
    svdRank: options.svdRank,
    svdClamp: options.svdClamp,
    density: options.density ?? 1,
    majoritySignMethod: options.majoritySignMethod ?? 'total',
    seed: options.seed ?? 0,
  }
}

/** The rank that every layer of the result has. */
export function combinedRank(
  { rule, svdRank }: CombineSettings,
  adapters: readonly CombinedAdapter[],
): number {
  const ranks = adapters.map(({ r }) => r)
  if (rule.on === 'stack') {
    return ranks.reduce((sum, r) => sum + r, 0)
  }
  const most = Math.max(...ranks)
  return rule.on === 'products' ? (svdRank ?? most) : most
}

/** The targets of the result: the union of lists, or the alternatives of patterns. */
export function combinedTargets(
  adapters: readonly CombinedAdapter[],
): readonly string[] | string | undefined {
  const targets = adapters.map(({ targetModules }) => targetModules)
  if (targets.every(target => typeof target === 'string')) {
    return targets.map(target => `(${target})`).join('|')
  }
  if (targets.every(target => target === undefined)) {
    return undefined
  }
  return [...new Set(targets.flatMap(target => target ?? []))]
}
