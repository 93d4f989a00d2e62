// Hugging Face tokenizers: tokenizer.json and tokenizer_config.json, read by the maintained
// @huggingface/tokenizers, which is bundled into this entry and into no other.

import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers'
import { LowrankError } from '../core/errors.ts'
import { type ByteSource, locate, readJson } from '../io/source.ts'
import type { DecodeOptions, EncodeOptions, Tokenizer } from '../train/tokenizer.ts'

type Json = Readonly<Record<string, unknown>>

/** What is used of the bundled tokenizer: its own types stay out of the public ones. */
interface Engine {
  encode(text: string, options: { add_special_tokens: boolean }): { ids: number[] }
  decode(ids: number[], options: { skip_special_tokens: boolean }): string
  get_vocab(withAdded: boolean): Map<string, number>
  token_to_id(token: string): number | undefined
}

/** The text of a special token, which is a string or an object with its content. */
function specialToken(config: Json, key: string): string | undefined {
  const value = config[key]
  const content = typeof value === 'object' && value !== null ? (value as Json).content : value
  return typeof content === 'string' ? content : undefined
}

class LoadedTokenizer implements Tokenizer {
  readonly #tokenizer: Engine
  readonly eosTokenId: number | undefined
  readonly padTokenId: number | undefined
  readonly vocabSize: number

  constructor(tokenizer: Engine, config: Json) {
    this.#tokenizer = tokenizer
    this.eosTokenId = this.#id(specialToken(config, 'eos_token'))
    this.padTokenId = this.#id(specialToken(config, 'pad_token')) ?? this.eosTokenId
    this.vocabSize = tokenizer.get_vocab(true).size
  }

  encode(text: string, { addSpecialTokens = true }: EncodeOptions = {}): number[] {
    return this.#tokenizer.encode(text, { add_special_tokens: addSpecialTokens }).ids
  }

  decode(ids: readonly number[], { skipSpecialTokens = true }: DecodeOptions = {}): string {
    // The tokenizer throws where there is nothing to decode.
    return ids.length === 0
      ? ''
      : this.#tokenizer.decode([...ids], { skip_special_tokens: skipSpecialTokens })
  }

  #id(token: string | undefined): number | undefined {
    return token === undefined ? undefined : this.#tokenizer.token_to_id(token)
  }
}

export type { LoadedTokenizer }

/**
 * Reads a tokenizer from a model directory. Throws a `file` error if tokenizer.json is missing or
 * cannot be used.
 *
 * @example
 * ```ts
 * import { directory } from 'lowrank/node'
 * import { loadTokenizer } from 'lowrank/tokenizer'
 *
 * const tokenizer = await loadTokenizer(directory('examples/house/model'))
 * console.log(tokenizer.decode(tokenizer.encode('dim the lamp'))) // dim the lamp
 * ```
 */
export async function loadTokenizer(source: ByteSource): Promise<LoadedTokenizer> {
  const json = (await readJson(source, 'tokenizer.json')) as Json
  const config = (await source.has('tokenizer_config.json'))
    ? ((await readJson(source, 'tokenizer_config.json')) as Json)
    : {}
  try {
    return new LoadedTokenizer(new HuggingFaceTokenizer(json, config), config)
  } catch (cause) {
    throw new LowrankError(
      'file',
      `${locate(source, 'tokenizer.json')}: not a tokenizer this library can read: ` +
        (cause as Error).message,
      { cause },
    )
  }
}
