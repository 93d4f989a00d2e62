// How the answers of the family models are compared: each with a tolerance of its own, logits only
// where attention_mask is 1, losses by their relative error.

import type { Case, CaseTensor, CaseTensors } from '../case.ts'
import { readTensors } from '../case.ts'
import {
  type Answered,
  type Check,
  checkEqual,
  compareTensor,
  scaledError,
  worstEntry,
} from '../compare.ts'
import { type Answer, stored } from '../kind.ts'
import { compareNumber } from '../numbers.ts'

/** What of data.safetensors is an output. */
const OUTPUT = /^(logits|embeddings|scores)_|^grad\./

/** The adapter after training, and the weights that the first one merges to. */
const WEIGHTS: Readonly<Record<string, string>> = {
  'trained.': 'trained/adapter_model.safetensors',
  'merged.': 'merged/model.safetensors',
}

/** The names of all that is asked for. */
export async function outputs({ files, tensors }: Case): Promise<string[]> {
  const names = [...tensors.keys()].filter(name => OUTPUT.test(name))
  for (const [prefix, file] of Object.entries(WEIGHTS)) {
    const weights = await readTensors(files, file)
    names.push(...[...weights.keys()].map(name => prefix + name))
  }
  return names
}

function isSequence({ tensors }: Case, want: CaseTensor): boolean {
  const mask = tensors.get('attention_mask')
  return mask !== undefined && want.shape.length === 3
}

/** Elements of the columns that are not padding. */
function unpadded(values: ArrayLike<number>, mask: ArrayLike<number>): number[] {
  const V = values.length / mask.length
  return Array.from(values).filter((_, i) => mask[Math.floor(i / V)] === 1)
}

function compareLogits(
  example: Case,
  name: string,
  got: Answered | undefined,
  tolerance: number,
): Check {
  const want = stored(example, name)
  if (!isSequence(example, want) || got?.data.length !== want.data.length) {
    return compareTensor(name, got, want, tolerance)
  }
  const mask = stored(example, 'attention_mask').data
  const [values, wanted] = [unpadded(got.data, mask), unpadded(want.data, mask)]
  const error = scaledError(values, wanted)
  const at = worstEntry(values, wanted)
  const note = error <= tolerance ? undefined : `expected ${wanted[at]}, got ${values[at]}`
  return { what: name, error, tolerance, note }
}

function compareAll(prefix: string, answer: Answer, want: CaseTensors, tolerance: number): Check[] {
  const found = Object.keys(answer.tensors).filter(name => name.startsWith(prefix))
  const names = found.map(name => name.slice(prefix.length)).sort()
  const checks = [...want].map(([name, tensor]) =>
    compareTensor(`${prefix}${name}`, answer.tensors[`${prefix}${name}`], tensor, tolerance),
  )
  checks.push(checkEqual(`names of ${prefix}*`, names, [...want.keys()].sort()))
  return checks
}

function compareLosses(example: Case, answer: Answer): Check[] {
  const { loss, losses, tolerance } = example.json
  const got = (answer.json?.losses ?? []) as readonly unknown[]
  return [
    checkEqual('number of losses', got.length, losses.length),
    compareNumber('loss', answer.json?.loss, loss, tolerance.loss),
    ...(losses as number[]).map((want, i) =>
      compareNumber(`losses[${i}]`, got[i], want, tolerance.losses),
    ),
  ]
}

/**
 * The tolerance of an output. An adapter in half precision has that of the whole one; scores are products
 * of two embeddings, so that twice theirs is off.
 */
function limitOf({ json, name: where }: Case, name: string): number {
  const { tolerance } = json
  const own = name.startsWith('grad.') ? tolerance.grads : tolerance[name.replace(/_half$/, '')]
  const limit = own ?? 2 * tolerance[name.replace('scores_', 'embeddings_')]
  if (!Number.isFinite(limit)) {
    throw new Error(`${where}: expected a tolerance for "${name}", got none`)
  }
  return limit
}

export async function compare(example: Case, answer: Answer): Promise<Check[]> {
  const { tolerance } = example.json
  const names = [...example.tensors.keys()].filter(name => OUTPUT.test(name))
  const checks = names.map(name => {
    return compareLogits(example, name, answer.tensors[name], limitOf(example, name))
  })
  const trained = await readTensors(example.files, WEIGHTS['trained.'])
  const merged = await readTensors(example.files, WEIGHTS['merged.'])
  const mergedLimit = tolerance.logits_merged ?? tolerance.embeddings_merged
  return [
    ...checks,
    ...compareLosses(example, answer),
    ...compareAll('trained.', answer, trained, tolerance.trained),
    ...compareAll('merged.', answer, merged, mergedLimit),
  ]
}
