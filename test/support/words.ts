// A tokenizer for tests: one token per word, numbered as they come.

import type { Tokenizer } from '../../src/train/tokenizer.ts'

const FIRST_WORD = 3

/** Knows the words it is made with; 0 pads, 2 ends. */
export class WordTokenizer implements Tokenizer {
  readonly eosTokenId = 2
  readonly padTokenId = 0
  readonly #words: readonly string[]

  constructor(text: string) {
    this.#words = [...new Set(text.split(/\s+/).filter(word => word !== ''))]
  }

  encode(text: string): number[] {
    const words = text.split(/\s+/).filter(word => word !== '')
    return words.map(word => this.#words.indexOf(word) + FIRST_WORD)
  }

  decode(ids: readonly number[]): string {
    return ids.map(id => this.#words[id - FIRST_WORD] ?? '').join(' ')
  }
}
