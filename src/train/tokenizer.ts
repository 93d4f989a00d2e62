// What training needs of a tokenizer: any object with `encode` and `decode` will do.

export interface EncodeOptions {
  /** Whether the tokenizer may add its own, such as a beginning of sequence. */
  readonly addSpecialTokens?: boolean
}

export interface DecodeOptions {
  readonly skipSpecialTokens?: boolean
}

/** Text to token numbers and back. */
export interface Tokenizer {
  encode(text: string, options?: EncodeOptions): number[]
  decode(ids: readonly number[], options?: DecodeOptions): string
  /** Appended to what is learned, and where generation ends. */
  readonly eosTokenId?: number | undefined
  readonly padTokenId?: number | undefined
}
