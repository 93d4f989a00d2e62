// How good a model is on held-out examples: the mean loss per learned token, and how often it
// generates exactly what it should.

import { LowrankError } from '../core/errors.ts'
import type { AdapterSelection } from '../lora/active.ts'
import type { CausalLM } from '../models/causal_lm.ts'
import { throwIfAborted } from './abort.ts'
import { collate, evaluationOrder } from './batches.ts'
import { type CompletionExample, encodePrompt, type TokenizedExample } from './data.ts'
import { generateTokens } from './generate.ts'
import type { Tokenizer } from './tokenizer.ts'

export interface EvaluateOptions {
  /** Sequences computed at once; 32 if absent. */
  readonly batchSize?: number
  readonly adapter?: AdapterSelection
  readonly signal?: AbortSignal
}

const DEFAULT_BATCH = 32

/**
 * The mean cross-entropy, in nats, of all learned tokens; nothing is recorded or trained. Throws a
 * `data` error if there are no examples.
 */
export async function evaluateLoss(
  model: CausalLM,
  examples: readonly TokenizedExample[],
  { batchSize = DEFAULT_BATCH, adapter, signal }: EvaluateOptions = {},
): Promise<number> {
  if (examples.length === 0) {
    throw new LowrankError('data', 'evaluateLoss: expected at least one example, got none')
  }
  const { backend } = model.parameters()[0]
  let sum = 0
  let count = 0
  for (const group of evaluationOrder(examples, batchSize)) {
    throwIfAborted(signal)
    const batch = collate(group, { batchSize, padTokenId: 0, backend })
    const loss = await model.loss(batch.inputIds, batch.labels, { adapter }).item()
    sum += loss * batch.learned
    count += batch.learned
  }
  return sum / count
}

export interface Prediction {
  readonly prompt: string
  readonly want: string
  readonly got: string
  readonly exact: boolean
}

export interface PredictOptions extends EvaluateOptions {
  /** At most this many tokens per answer; the longest wanted answer and a few more if absent. */
  readonly maxNewTokens?: number
  /** When an answer counts as right; `sameAnswer` if absent. */
  readonly match?: (got: string, want: string) => boolean
  readonly onProgress?: (done: number, of: number) => void
}

/** JSON with its keys in order, so that equal values are equal texts. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) {
    return `[${value.map(canonical).join(',')}]`
  }
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
    return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`).join(',')}}`
  }
  return JSON.stringify(value)
}

function canonicalText(text: string): string {
  try {
    return canonical(JSON.parse(text))
  } catch {
    // Not JSON: compared as it is.
    return text.trim()
  }
}

/** Equal as JSON values, or, where they are not JSON, equal texts but for space around them. */
export function sameAnswer(got: string, want: string): boolean {
  return canonicalText(got) === canonicalText(want)
}

const SPARE_TOKENS = 8

/**
 * Answers every prompt greedily and compares with the completion. The order is that of the
 * examples.
 */
export async function predict(
  model: CausalLM,
  tokenizer: Tokenizer,
  examples: readonly CompletionExample[],
  options: PredictOptions = {},
): Promise<Prediction[]> {
  const { batchSize = DEFAULT_BATCH, adapter, signal, match = sameAnswer, onProgress } = options
  const items = examples.map((example, at) => ({
    example,
    at,
    prompt: encodePrompt(tokenizer, example.prompt),
    answer: tokenizer.encode(example.completion, { addSpecialTokens: false }).length,
  }))
  // Prompts of one length need no padding and no mask.
  items.sort((a, b) => a.prompt.length - b.prompt.length)
  const predictions = new Array<Prediction>(items.length)
  for (let i = 0; i < items.length; i += batchSize) {
    throwIfAborted(signal)
    const group = items.slice(i, i + batchSize)
    const longest = Math.max(...group.map(({ answer }) => answer)) + SPARE_TOKENS
    const answers = await generateTokens(
      model,
      group.map(({ prompt }) => prompt),
      { adapter, maxNewTokens: options.maxNewTokens ?? longest, padTokenId: tokenizer.padTokenId },
    )
    group.forEach(({ example, at }, row) => {
      const got = tokenizer.decode(answers[row], { skipSpecialTokens: true })
      const { prompt, completion: want } = example
      predictions[at] = { prompt, want, got, exact: match(got, want) }
    })
    onProgress?.(i + group.length, items.length)
  }
  return predictions
}

/** The share of exact answers, from 0 to 1. */
export function exactMatch(predictions: readonly Prediction[]): number {
  const exact = predictions.filter(prediction => prediction.exact).length
  return predictions.length === 0 ? 0 : exact / predictions.length
}
