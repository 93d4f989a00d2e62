// Text from a model, token by token, with a cache of keys and values. Each step is one synchronous
// forward pass, so that streams with different adapters can be interleaved.

import { LowrankError, throwAll } from '../core/errors.ts'
import { Random } from '../core/rng.ts'
import { tensor } from '../core/tensor.ts'
import type { AdapterSelection } from '../lora/active.ts'
import type { CausalLM } from '../models/causal_lm.ts'
import { DecoderCache } from '../models/decoder_cache.ts'
import { throwIfAborted } from './abort.ts'
import { encodePrompt } from './data.ts'
import { checkSampling, nextToken, type SamplingOptions } from './sampling.ts'
import type { Tokenizer } from './tokenizer.ts'

export interface GenerateOptions extends SamplingOptions {
  /** At most this many tokens; as many as the model has room for, up to 256, if absent. */
  readonly maxNewTokens?: number
  readonly seed?: number
  readonly adapter?: AdapterSelection
  /** Where a row ends; the model's end tokens if absent, none if empty. */
  readonly eosTokenIds?: readonly number[]
  readonly signal?: AbortSignal
}

const DEFAULT_NEW_TOKENS = 256

/** What one decoding step gives. */
export interface DecodeStep {
  /** The new token of each row; -1 for rows that have ended. */
  readonly tokens: readonly number[]
  /** The scores the tokens were chosen from, [B, V], before any processor. */
  readonly logits: Float32Array | Float64Array
}

interface Padded {
  readonly ids: Int32Array
  readonly mask: Int32Array
  readonly columns: number
}

/** Prompts of different lengths, padded at the left. */
function padLeft(prompts: readonly (readonly number[])[], padTokenId: number): Padded {
  const columns = Math.max(...prompts.map(prompt => prompt.length))
  const ids = new Int32Array(prompts.length * columns).fill(padTokenId)
  const mask = new Int32Array(prompts.length * columns)
  prompts.forEach((prompt, row) => {
    const start = (row + 1) * columns - prompt.length
    ids.set(prompt, start)
    mask.fill(1, start, (row + 1) * columns)
  })
  return { ids, mask, columns }
}

function checkOptions({ maxNewTokens = 1, seed = 0 }: GenerateOptions): void {
  const problems: string[] = []
  if (!(Number.isInteger(maxNewTokens) && maxNewTokens > 0)) {
    problems.push(`maxNewTokens: expected a whole number from 1 up, got ${maxNewTokens}`)
  }
  if (!(Number.isSafeInteger(seed) && seed >= 0)) {
    problems.push(`seed: expected a whole number from 0 up, got ${seed}`)
  }
  throwAll('argument', 'generate', problems)
}

function checkPrompts(model: CausalLM, prompts: readonly (readonly number[])[]): void {
  if (prompts.length === 0 || prompts.some(prompt => prompt.length === 0)) {
    throw new LowrankError('data', 'generate: expected prompts of at least one token each')
  }
  const { vocabSize } = model.sizes
  const strange = prompts.flat().find(id => !(Number.isInteger(id) && id >= 0 && id < vocabSize))
  if (strange !== undefined) {
    throw new LowrankError(
      'data',
      `generate: expected tokens from 0 to ${vocabSize - 1}, got ${strange}`,
    )
  }
  const longest = Math.max(...prompts.map(prompt => prompt.length))
  const room = model.sizes.maxPositionEmbeddings
  if (longest >= room) {
    throw new LowrankError(
      'data',
      `generate: a prompt has ${longest} tokens, the model takes ${room} with the answer ` +
        '(shorten the prompt)',
    )
  }
}

/** The mask of a step: the prompts' own, and ones for what was generated since. */
function widenedMask({ mask, columns }: Padded, rows: number, length: number): Int32Array {
  const wide = new Int32Array(rows * length).fill(1)
  for (let row = 0; row < rows; row++) {
    wide.set(mask.subarray(row * columns, (row + 1) * columns), row * length)
  }
  return wide
}

/**
 * Decodes several prompts at once, a step at a time, until every row has ended or `maxNewTokens`
 * are reached. Throws `data` or `argument` errors before anything is computed.
 */
export async function* decode(
  model: CausalLM,
  prompts: readonly (readonly number[])[],
  options: GenerateOptions & { readonly padTokenId?: number } = {},
): AsyncGenerator<DecodeStep> {
  checkOptions(options)
  checkSampling('generate', options)
  checkPrompts(model, prompts)
  const rows = prompts.length
  const padded = padLeft(prompts, options.padTokenId ?? 0)
  const room = model.sizes.maxPositionEmbeddings - padded.columns
  const limit = Math.min(options.maxNewTokens ?? DEFAULT_NEW_TOKENS, room)
  const ends = new Set(options.eosTokenIds ?? model.sizes.eosTokenIds)
  const { backend } = model.parameters()[0]
  const int32 = { dtype: 'int32', backend } as const
  const random = prompts.map((_, row) => new Random(options.seed ?? 0, row))
  const histories = prompts.map((_, row) => [
    ...padded.ids.subarray(row * padded.columns, (row + 1) * padded.columns),
  ])
  const ended = prompts.map(() => false)
  const uniform = prompts.every(prompt => prompt.length === padded.columns)
  const cache = new DecoderCache(model, { batch: rows, capacity: padded.columns + limit })
  try {
    let ids: Int32Array = padded.ids
    for (let step = 0; step < limit; step++) {
      throwIfAborted(options.signal)
      const columns = ids.length / rows
      const length = cache.length + columns
      const output = model.forward(tensor(ids, [rows, columns], int32), {
        attentionMask: uniform
          ? undefined
          : tensor(widenedMask(padded, rows, length), [rows, length], int32),
        cache,
        adapter: options.adapter,
        lastOnly: true,
      })
      const logits = (await output.data()) as Float32Array | Float64Array
      const V = logits.length / rows
      const tokens = histories.map((history, row) =>
        ended[row]
          ? -1
          : nextToken(logits.subarray(row * V, (row + 1) * V), history, options, random[row]),
      )
      tokens.forEach((token, row) => {
        histories[row].push(token < 0 ? (options.padTokenId ?? 0) : token)
        ended[row] ||= ends.has(token)
      })
      yield { tokens, logits }
      if (ended.every(Boolean)) {
        return
      }
      ids = Int32Array.from(histories, history => history[history.length - 1])
    }
  } finally {
    cache.dispose()
  }
}

/** The tokens generated for each prompt, end tokens left out. */
export async function generateTokens(
  model: CausalLM,
  prompts: readonly (readonly number[])[],
  options: GenerateOptions & { readonly padTokenId?: number } = {},
): Promise<number[][]> {
  const ends = new Set(options.eosTokenIds ?? model.sizes.eosTokenIds)
  const generated: number[][] = prompts.map(() => [])
  for await (const { tokens } of decode(model, prompts, options)) {
    tokens.forEach((token, row) => {
      if (token >= 0 && !ends.has(token)) {
        generated[row].push(token)
      }
    })
  }
  return generated
}

/** The text that can be shown already: without a character that is still incomplete. */
function shownText(tokenizer: Tokenizer, ids: readonly number[]): string {
  return tokenizer.decode(ids, { skipSpecialTokens: true }).replace(/\uFFFD+$/u, '')
}

/**
 * Continues a prompt; yields text as it comes. Greedy unless `temperature` is above 0.
 *
 * @example
 * ```ts
 * import { loadModel } from 'lowrank/models/auto'
 * import { directory } from 'lowrank/node'
 * import { loadTokenizer } from 'lowrank/tokenizer'
 * import { generate } from 'lowrank/train'
 *
 * const files = directory('examples/house/model')
 * const [model, tokenizer] = [await loadModel(files), await loadTokenizer(files)]
 * let text = ''
 * for await (const piece of generate(model, tokenizer, 'Dim the hall lamp')) text += piece
 * console.log(text.includes('"tool"')) // true
 * ```
 */
export async function* generate(
  model: CausalLM,
  tokenizer: Tokenizer,
  prompt: string,
  options: GenerateOptions = {},
): AsyncGenerator<string> {
  const ends = new Set(options.eosTokenIds ?? model.sizes.eosTokenIds)
  const ids: number[] = []
  let shown = ''
  for await (const { tokens } of decode(model, [encodePrompt(tokenizer, prompt)], options)) {
    if (ends.has(tokens[0])) {
      break
    }
    ids.push(tokens[0])
    const text = shownText(tokenizer, ids)
    if (text.length > shown.length) {
      yield text.slice(shown.length)
      shown = text
    }
  }
}
