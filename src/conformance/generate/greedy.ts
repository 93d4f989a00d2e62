// Greedy decoding of the family generate, for the base alone and with its adapter: sequences
// [rows, prompt + new] must agree exactly, logits [rows, new, V] until the end of a row.

import { load } from '../../lora/index.ts'
import { loadModel } from '../../models/auto.ts'
import type { CausalLM } from '../../models/index.ts'
import { decode } from '../../train/index.ts'
import { type Case, type CaseTensor, folderOf } from '../case.ts'
import { type Answered, type Check, checkThat, compareTensor, scaledError } from '../compare.ts'
import { type Answer, type CaseKind, stored } from '../kind.ts'

const SIDES = ['base', 'adapter'] as const

/** The prompts without their padding, which is where the mask is 0. */
function promptsOf(example: Case): number[][] {
  const ids = stored(example, 'input_ids')
  const mask = stored(example, 'attention_mask').data
  const [rows, columns] = ids.shape
  return Array.from({ length: rows }, (_, row) => {
    const [start, end] = [row * columns, (row + 1) * columns]
    return Array.from(ids.data.subarray(start, end)).filter((_, i) => mask[start + i] === 1)
  })
}

/** New tokens and their logits, padded as the case pads them. */
async function decoded(
  example: Case,
  model: CausalLM,
  side: (typeof SIDES)[number],
): Promise<Record<string, Answered>> {
  const { json } = example
  const prompt = stored(example, 'input_ids')
  const [rows, steps, V] = stored(example, `${side}.logits`).shape
  const columns = prompt.shape[1]
  const sequences = new Int32Array(rows * (columns + steps)).fill(json.pad_token_id)
  const logits = new Float64Array(rows * steps * V)
  for (let row = 0; row < rows; row++) {
    const ids = prompt.data.subarray(row * columns, (row + 1) * columns)
    sequences.set(ids, row * (columns + steps))
  }
  let step = 0
  const options = {
    maxNewTokens: json.max_new_tokens,
    eosTokenIds: json.eos_token_id === null ? [] : [json.eos_token_id].flat(),
    padTokenId: json.pad_token_id,
    repetitionPenalty: json.repetition_penalty ?? 1,
    adapter: side === 'base' ? null : 'default',
  }
  for await (const { tokens, logits: got } of decode(model, promptsOf(example), options)) {
    for (let row = 0; row < rows && step < steps; row++) {
      if (tokens[row] >= 0) {
        sequences[row * (columns + steps) + columns + step] = tokens[row]
        logits.set(got.subarray(row * V, (row + 1) * V), (row * steps + step) * V)
      }
    }
    step++
  }
  return {
    [`${side}.sequences`]: { shape: [rows, columns + step], data: sequences },
    [`${side}.logits`]: { shape: [rows, step, V], data: logits },
  }
}

async function run(example: Case): Promise<Answer> {
  const folder = folderOf(example.root, example.json.model)
  const model = await loadModel(folderOf(folder, 'base'))
  const base = await decoded(example, model, 'base')
  await load(model, folderOf(folder, 'adapter'))
  return { tensors: { ...base, ...(await decoded(example, model, 'adapter')) } }
}

/** The worst error of one row's logits at one step, up to the row's end. */
function worstRow(got: Answered, want: CaseTensor, lengths: readonly number[]): number {
  const [rows, steps, V] = want.shape
  let worst = 0
  for (let row = 0; row < rows; row++) {
    for (let step = 0; step < lengths[row]; step++) {
      const at = (row * steps + step) * V
      const part = Array.prototype.slice.call(got.data, at, at + V)
      worst = Math.max(worst, scaledError(part, want.data.subarray(at, at + V)))
    }
  }
  return worst
}

function compareLogits(
  what: string,
  got: Answered | undefined,
  want: CaseTensor,
  lengths: readonly number[],
  tolerance: number,
): Check {
  const whole = compareTensor(what, got, want, Number.POSITIVE_INFINITY)
  if (!got || whole.note) {
    return { ...whole, tolerance }
  }
  return { what, error: worstRow(got, want, lengths), tolerance }
}

function compare(example: Case, { tensors }: Answer): Check[] {
  const { new_tokens: lengths, tolerance } = example.json
  return SIDES.flatMap(side => {
    const [ids, logits] = [`${side}.sequences`, `${side}.logits`]
    const want = stored(example, logits)
    return [
      compareTensor(ids, tensors[ids], stored(example, ids), 0),
      compareLogits(logits, tensors[logits], want, lengths[side], tolerance.logits),
      checkThat(`${side}: zeros after the end`, zerosAfter(want, lengths[side]), 'expected zeros'),
    ]
  })
}

/** Whether the stored logits after each row's end are the zeros that they are said to be. */
function zerosAfter({ data, shape }: CaseTensor, lengths: readonly number[]): boolean {
  const [rows, steps, V] = shape
  for (let row = 0; row < rows; row++) {
    const [start, end] = [(row * steps + lengths[row]) * V, (row + 1) * steps * V]
    if (data.subarray(start, end).some(value => value !== 0)) {
      return false
    }
  }
  return true
}

export const greedy: CaseKind = {
  run,
  compare,
  outputs: () => SIDES.flatMap(side => [`${side}.sequences`, `${side}.logits`]),
  question: ({ new_tokens: _, ...json }) => json,
}
