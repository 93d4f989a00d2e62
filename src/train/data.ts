// Training data: examples as text, then as tokens with labels. The loss of a `{prompt, completion}`
// is on the completion and the end token; of a `{text}` on all of it.

import { LowrankError, throwAll } from '../core/errors.ts'
import { parseJsonLines } from '../io/jsonl.ts'
import { IGNORE_INDEX } from '../models/causal_lm.ts'
import type { Tokenizer } from './tokenizer.ts'

export interface CompletionExample {
  readonly prompt: string
  readonly completion: string
}

export interface TextExample {
  readonly text: string
}

export type Example = CompletionExample | TextExample

/** One sequence: `labels[t]` is `ids[t]` where it is learned, else IGNORE_INDEX. */
export interface TokenizedExample {
  readonly ids: readonly number[]
  readonly labels: readonly number[]
}

export interface TokenizeOptions {
  /** The longest sequence allowed, end token included. */
  readonly maxTokens: number
  /** Where the examples come from, for messages. */
  readonly where?: string
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0
}

function exampleProblem(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return `expected an object, got ${JSON.stringify(value)}`
  }
  const { prompt, completion, text } = value as Record<string, unknown>
  if (text !== undefined && (prompt !== undefined || completion !== undefined)) {
    return 'expected either "text" or "prompt" and "completion", got both'
  }
  if (text !== undefined ? isText(text) : typeof prompt === 'string' && isText(completion)) {
    return undefined
  }
  const keys = Object.keys(value).join(', ') || 'no keys'
  return `expected non-empty strings "prompt" and "completion", or "text", got ${keys}`
}

/**
 * Reads JSON lines of `{"prompt", "completion"}` or `{"text"}`; other keys are kept. Throws a `data`
 * error that names every bad line and counts the good ones.
 *
 * @example
 * ```ts
 * import { parseExamples } from 'lowrank/train'
 *
 * console.log(parseExamples('{"text": "hello"}\n', 'inline').length) // 1
 * ```
 */
export function parseExamples(text: string | Uint8Array, where: string): Example[] {
  const { rows, problems } = parseJsonLines(text)
  const bad = problems.map(({ line, reason }) => ({ line, reason }))
  const examples: Example[] = []
  for (const { line, value } of rows) {
    const reason = exampleProblem(value)
    if (reason) {
      bad.push({ line, reason })
    } else {
      examples.push(value as Example)
    }
  }
  if (bad.length > 0) {
    bad.sort((a, b) => a.line - b.line)
    const shown = bad.slice(0, 20).map(({ line, reason }) => `line ${line}: ${reason}`)
    if (bad.length > shown.length) {
      shown.push(`and ${bad.length - shown.length} more bad lines`)
    }
    throwAll('data', `${where} (${examples.length} good lines, ${bad.length} bad)`, shown)
  }
  if (examples.length === 0) {
    throw new LowrankError('data', `${where}: expected at least one example, got none`)
  }
  return examples
}

/** The tokens a prompt stands for when it is completed. */
export function encodePrompt(tokenizer: Tokenizer, prompt: string): number[] {
  return tokenizer.encode(prompt, { addSpecialTokens: true })
}

function tokenizeOne(example: Example, tokenizer: Tokenizer): TokenizedExample {
  const end = tokenizer.eosTokenId === undefined ? [] : [tokenizer.eosTokenId]
  if ('text' in example) {
    const ids = [...tokenizer.encode(example.text, { addSpecialTokens: true }), ...end]
    return { ids, labels: ids }
  }
  const prompt = encodePrompt(tokenizer, example.prompt)
  const learned = [...tokenizer.encode(example.completion, { addSpecialTokens: false }), ...end]
  return {
    ids: [...prompt, ...learned],
    labels: [...prompt.map(() => IGNORE_INDEX), ...learned],
  }
}

/**
 * Turns examples into tokens and labels. Throws a `data` error that lists every sequence that is
 * longer than `maxTokens` or too short to learn from.
 */
export function tokenizeExamples(
  examples: readonly Example[],
  tokenizer: Tokenizer,
  { maxTokens, where = 'data' }: TokenizeOptions,
): TokenizedExample[] {
  const problems: string[] = []
  const tokenized = examples.map((example, i) => {
    const one = tokenizeOne(example, tokenizer)
    if (one.ids.length > maxTokens) {
      problems.push(
        `example ${i + 1} has ${one.ids.length} tokens, the model takes ${maxTokens} (shorten it)`,
      )
    }
    if (!one.labels.slice(1).some(label => label !== IGNORE_INDEX)) {
      problems.push(`example ${i + 1} has ${one.ids.length} tokens, none of them to learn`)
    }
    return one
  })
  throwAll('data', where, problems.slice(0, 20))
  return tokenized
}
