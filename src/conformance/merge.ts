// Cases of the family merge: several adapters combined into one. Scaling is included in the stored
// products; factors that are free up to sign are compared as products only.

import { LowrankError } from '../core/errors.ts'
import { type CombineOptions, combineWhole, type WholeAdapter } from '../lora/combine/index.ts'
import { product } from '../lora/combine/low_rank.ts'
import type { LayerFactors } from '../lora/combine/whole.ts'
import type { Case, CaseJson, CaseTensor } from './case.ts'
import { type Answered, type Check, checkEqual, checkThat } from './compare.ts'
import { type Answer, type CaseKind, compareOutputs, stored } from './kind.ts'
import { compareNumber } from './numbers.ts'

/** What the names of a part's factors begin with. */
function kindOf(part: string): 'lora_' | 'lora_embedding_' {
  return part.startsWith('emb') ? 'lora_embedding_' : 'lora_'
}

/** The factors of an adapter on one part of the model. */
function layerOf(example: Case, adapter: string, part: string, scaling: number): LayerFactors {
  const kind = kindOf(part)
  const A = stored(example, `${adapter}.${part}.${kind}A`)
  const B = stored(example, `${adapter}.${part}.${kind}B`)
  const [r] = A.shape
  const [rows] = B.shape
  return {
    A: Float64Array.from(A.data),
    B: Float64Array.from(B.data),
    r,
    rows,
    cols: A.data.length / r,
    scaling,
  }
}

function adapterOf(example: Case, name: string): WholeAdapter {
  const { r, use_rslora, rank_pattern, target_modules, scaling } = example.json.adapters[name]
  const layers = Object.entries(scaling as Record<string, number>).map(
    ([part, factor]) => [part, layerOf(example, name, part, factor)] as const,
  )
  return {
    name,
    r: Math.max(r, ...(Object.values(rank_pattern) as number[])),
    targetModules: target_modules,
    useRslora: use_rslora,
    layers: new Map(layers),
  }
}

/** PEFT's result, so with its scale where the adapters are rank-stabilised. */
function optionsOf(json: CaseJson): CombineOptions {
  return {
    combinationType: json.combination_type,
    weights: json.weights,
    svdRank: json.svd_rank ?? undefined,
    svdClamp: json.svd_clamp ?? undefined,
    density: json.density ?? undefined,
    majoritySignMethod: json.majority_sign_method ?? undefined,
    seed: json.seed ?? undefined,
    peftRsloraScale: true,
  }
}

function transposed(values: Float64Array, rows: number, cols: number): Float64Array {
  return values.map((_, at) => values[(at % rows) * cols + Math.floor(at / rows)])
}

/** ΔW in the orientation of the stored base weight, [in, out] in Conv1D and embeddings. */
function deltaOf(layer: LayerFactors, part: string, want: CaseTensor): Answered {
  const delta = product({ ...layer, name: part, weight: 1 }, layer)
  const turned = /^(emb|c1d)/.test(part)
  return {
    shape: want.shape,
    data: turned ? transposed(delta, layer.rows, layer.cols) : delta,
  }
}

/**
 * The factors at the rank of the stored ones. Where all adapters have a lower rank on a layer, PEFT
 * leaves it so; here it is filled up to the rank of the result, with zeros that must be there.
 */
function atRank(layer: LayerFactors, r: number): LayerFactors {
  const { A, B, cols } = layer
  const rest = [...A.subarray(r * cols), ...B.filter((_, at) => at % layer.r >= r)]
  if (r >= layer.r || rest.some(value => value !== 0)) {
    return layer
  }
  return { ...layer, A: A.subarray(0, r * cols), B: B.filter((_, at) => at % layer.r < r), r }
}

function runMerge(example: Case): Answer {
  const { json } = example
  const adapters = Object.keys(json.adapters).map(name => adapterOf(example, name))
  const { r, layers, useRslora, targetModules } = combineWhole('out', adapters, optionsOf(json))
  const tensors: Record<string, Answered> = {}
  for (const [part, layer] of layers) {
    const kind = kindOf(part)
    const shapes = json.result.shapes[part]
    const delta = `out.${part}.delta_weight`
    const { A, B } = atRank(layer, shapes[`${kind}A`][0])
    tensors[`out.${part}.${kind}A`] = { shape: shapes[`${kind}A`], data: A }
    tensors[`out.${part}.${kind}B`] = { shape: shapes[`${kind}B`], data: B }
    tensors[delta] = deltaOf(layer, part, stored(example, delta))
  }
  const scaling = Object.fromEntries([...layers].map(([part, layer]) => [part, layer.scaling]))
  const targets = Array.isArray(targetModules) ? [...targetModules].sort() : targetModules
  return {
    tensors,
    json: { r, lora_alpha: r, use_rslora: useRslora, target_modules: targets, scaling },
  }
}

/** What is compared of a new adapter's configuration; the order of a list of modules is free. */
function settingsOf({ r, lora_alpha, use_rslora, target_modules: targets }: CaseJson): CaseJson {
  const target_modules = Array.isArray(targets) ? [...targets].sort() : targets
  return { r, lora_alpha, use_rslora, target_modules }
}

/** A scale is a product, a quotient and a root, in any order. */
const ROUNDINGS = 1e-12

function compareMerge(example: Case, answer: Answer, precision: 32 | 64): Check[] {
  const { result } = example.json
  const got: CaseJson = answer.json ?? {}
  return [
    ...compareOutputs(example, answer, precision),
    checkEqual('result', settingsOf(got), settingsOf(result)),
    ...Object.entries<number>(result.scaling).map(([part, want]) =>
      compareNumber(`scaling of ${part}`, got.scaling?.[part], want, ROUNDINGS),
    ),
  ]
}

const NAME_TAKEN = /\bname\b.*\btaken\b/

/** Whether a call is refused here though PEFT takes it: each loses something without a word. */
function isStricter({ call, of, weights, density, svd_rank, ...row }: CaseJson): boolean {
  const method = row.majority_sign_method ?? 'total'
  return (
    NAME_TAKEN.test(call) ||
    weights.length !== of.length ||
    density > 1 ||
    (svd_rank ?? 1) <= 0 ||
    (density === 0 && /^dare/.test(row.combination_type)) ||
    !['total', 'frequency'].includes(method)
  )
}

/**
 * Whether a call is taken here though PEFT fails in it: by default the result has the largest rank, which
 * is filled up with zeros on layers that are smaller.
 */
function isLaxer({ of, adapters, combination_type: type, svd_rank: rank }: CaseJson): boolean {
  const ranks = (of as string[]).map(name => adapters[name]?.r ?? 0)
  const least = Math.min(...Object.values(SIZES).flat())
  return /svd$/.test(type) && !rank && ranks.length > 1 && Math.max(...ranks) > least
}

const PARTS = ['lin', 'lin2', 'emb', 'conv', 'conv1']
const SIZES: Readonly<Record<string, readonly [rows: number, cols: number]>> = {
  lin: [6, 8],
  lin2: [9, 5],
  emb: [7, 11],
  conv: [5, 27],
  conv1: [6, 7],
}

/** An adapter of ones, for calls whose numbers do not matter. */
function anyAdapter(
  name: string,
  { r: own, rank_pattern, alpha, targets }: CaseJson,
): WholeAdapter {
  const r = Math.max(own, ...(Object.values(rank_pattern ?? {}) as number[]))
  const layers = PARTS.map(part => {
    const [rows, cols] = SIZES[part]
    const A = new Float64Array(r * cols).fill(1)
    const B = new Float64Array(rows * r).fill(1)
    return [part, { A, B, r, rows, cols, scaling: alpha / r }] as const
  })
  return { name, r, targetModules: targets ?? PARTS, useRslora: false, layers: new Map(layers) }
}

function outcomeOf(row: CaseJson): Record<string, unknown> {
  const known = new Map(
    Object.entries(row.adapters as CaseJson).map(([name, json]) => [name, anyAdapter(name, json)]),
  )
  try {
    const chosen = (row.of as string[]).map(name => {
      const adapter = known.get(name)
      if (!adapter) {
        throw new LowrankError('target', `combine: there is no adapter "${name}"`)
      }
      return adapter
    })
    const name = NAME_TAKEN.test(row.call) ? row.of[0] : 'out'
    const { r, targetModules } = combineWhole(name, chosen, optionsOf(row))
    const targets = Array.isArray(targetModules) ? [...targetModules].sort() : targetModules
    return { outcome: 'accepted', r, lora_alpha: r, target_modules: targets }
  } catch (error) {
    if (!(error instanceof LowrankError)) {
      throw error
    }
    return { outcome: 'raises', message: error.message }
  }
}

function runCalls({ json }: Case): Answer {
  return { tensors: {}, json: { rows: (json.rows as CaseJson[]).map(outcomeOf) } }
}

function resultOf({ outcome, ...row }: CaseJson): CaseJson {
  return { outcome, ...settingsOf({ ...row, use_rslora: undefined }) }
}

function compareCalls({ json }: Case, answer: Answer): Check[] {
  const got = (answer.json?.rows ?? []) as CaseJson[]
  return (json.rows as CaseJson[]).map((row, i) => {
    const refused = (row.outcome === 'raises' && !isLaxer(row)) || isStricter(row)
    if (refused) {
      return checkThat(row.call, got[i]?.outcome === 'raises', 'expected an error, got a result')
    }
    return row.outcome === 'raises'
      ? checkEqual(row.call, got[i]?.outcome, 'accepted')
      : checkEqual(row.call, resultOf(got[i] ?? {}), resultOf(row))
  })
}

/** A call without what became of it. */
function callOf({ outcome: _, type: __, message: ___, ...call }: CaseJson): CaseJson {
  return call
}

export const mergeKinds: Readonly<Record<string, CaseKind>> = {
  'merge/merge': {
    run: runMerge,
    compare: compareMerge,
    question: ({ result: _, ...json }) => json,
  },
  'merge/calls': {
    run: runCalls,
    compare: compareCalls,
    question: ({ rows, ...json }) => ({ ...json, rows: rows.map(callOf) }),
  },
}
