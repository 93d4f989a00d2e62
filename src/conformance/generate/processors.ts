// Processors of the family generate: scores [rows, V] after penalty, temperature, top-k and top-p,
// −∞ where a token is excluded; their softmax; how many tokens are left.

import { exp } from '../../core/math.ts'
import { processScores } from '../../train/index.ts'
import type { Case, CaseTensor } from '../case.ts'
import { type Check, checkEqual, compareTensor } from '../compare.ts'
import { type Answer, type CaseKind, stored } from '../kind.ts'

function row({ data, shape }: CaseTensor, i: number): Float32Array {
  return Float32Array.from(data.subarray(i * shape[1], (i + 1) * shape[1]))
}

function softmax(scores: ArrayLike<number>): number[] {
  const values = Array.from(scores)
  const top = values.reduce((a, b) => Math.max(a, b))
  const powers = values.map(score => (Number.isFinite(score) ? exp(score - top) : 0))
  const total = powers.reduce((sum, power) => sum + power, 0)
  return powers.map(power => power / total)
}

function run(example: Case): Answer {
  const { settings } = example.json
  const [scores, ids] = [stored(example, 'scores'), stored(example, 'input_ids')]
  const rows = Array.from({ length: scores.shape[0] }, (_, i) =>
    Array.from(
      processScores(row(scores, i), Array.from(row(ids, i)), {
        temperature: settings.temperature ?? 1,
        topK: settings.top_k,
        topP: settings.top_p,
        repetitionPenalty: settings.repetition_penalty,
      }),
    ),
  )
  const { shape } = scores
  const kept = rows.map(values => values.filter(Number.isFinite).length)
  const tensors = {
    y: { shape, data: rows.flat() },
    probabilities: { shape, data: rows.flatMap(softmax) },
  }
  return { tensors, json: { kept } }
}

function compare(example: Case, { tensors, json }: Answer): Check[] {
  const { tolerance, kept } = example.json
  const names = ['y', 'probabilities'] as const
  return [
    ...names.map(name =>
      compareTensor(name, tensors[name], stored(example, name), tolerance[name]),
    ),
    checkEqual('kept', json?.kept, kept),
  ]
}

export const processors: CaseKind = {
  run,
  compare,
  outputs: () => ['y', 'probabilities'],
  question: ({ kept: _, ...json }) => json,
}
