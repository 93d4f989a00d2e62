// A strict JSON parser that keeps what JSON.parse loses: the text of numbers, repeated keys, and
// the position of a mistake, worded alike on every engine.
// Source: RFC 8259.

export type JsonNode =
  | { readonly kind: 'object'; readonly entries: readonly JsonEntry[] }
  | { readonly kind: 'array'; readonly items: readonly JsonNode[] }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'number'; readonly text: string }
  | { readonly kind: 'literal'; readonly value: boolean | null }

export interface JsonEntry {
  readonly key: string
  readonly value: JsonNode
}

/** What is wrong with a text, and the index of the character where it shows. */
export interface JsonProblem {
  readonly position: number
  readonly reason: string
}

/** Deeper nesting is refused, as by serde: a file of brackets must not exhaust the stack. */
const MAX_DEPTH = 127

const LITERAL = /true|false|null/y
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const SPACE = /[ \t\n\r]*/y
const PLAIN = /[^"\\\p{Cc}]+/uy
// What else a string may hold: control characters beyond ASCII's, and escapes, of surrogates in pairs only.
const ESCAPE =
  /[\x7f-\x9f]|\\(?:["\\/bfnrt]|u[dD][89abAB][\da-fA-F]{2}\\u[dD][c-fC-F][\da-fA-F]{2}|u(?![dD][89a-fA-F])[\da-fA-F]{4})/y
const HEXADECIMAL = /[\da-fA-F]{4}/y

class JsonMistake extends Error {
  readonly position: number

  constructor(position: number, reason: string) {
    super(reason)
    this.position = position
  }
}

class JsonParser {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  document(): JsonNode {
    this.#space()
    const node = this.#value(0)
    this.#space()
    if (this.#at < this.#text.length) {
      this.#fail('the end')
    }
    return node
  }

  #fail(expected: string): never {
    const character = this.#text.codePointAt(this.#at)
    throw new JsonMistake(this.#at, `expected ${expected}, got ${describe(character)}`)
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.#text)?.[0] ?? ''
    this.#at += found.length
    return found
  }

  #space(): void {
    this.#match(SPACE)
  }

  #take(character: string): boolean {
    const found = this.#text[this.#at] === character
    this.#at += found ? 1 : 0
    return found
  }

  #value(depth: number): JsonNode {
    const first = this.#text[this.#at]
    if (depth === MAX_DEPTH && (first === '{' || first === '[')) {
      throw new JsonMistake(this.#at, `nested deeper than ${MAX_DEPTH} levels`)
    }
    switch (first) {
      case '{':
        return this.#object(depth)
      case '[':
        return this.#array(depth)
      case '"':
        return { kind: 'string', value: this.#string() }
      default:
        return this.#scalar()
    }
  }

  #scalar(): JsonNode {
    const word = this.#match(LITERAL)
    if (word !== '') {
      return { kind: 'literal', value: JSON.parse(word) }
    }
    const start = this.#at
    const text = this.#match(NUMBER)
    if (!Number.isFinite(Number(text))) {
      throw new JsonMistake(start, 'expected a number that float64 can hold')
    }
    return text === '' ? this.#fail('a value') : { kind: 'number', text }
  }

  #object(depth: number): JsonNode {
    const entries = this.#list('}', first => {
      if (this.#text[this.#at] !== '"') {
        this.#fail(first ? 'a key in quotes or }' : 'a key in quotes')
      }
      const key = this.#string()
      this.#space()
      if (!this.#take(':')) {
        this.#fail('a colon')
      }
      this.#space()
      return { key, value: this.#value(depth + 1) }
    })
    return { kind: 'object', entries }
  }

  #array(depth: number): JsonNode {
    return { kind: 'array', items: this.#list(']', () => this.#value(depth + 1)) }
  }

  /** What stands in brackets, with commas between. */
  #list<T>(close: string, item: (first: boolean) => T): T[] {
    const items: T[] = []
    this.#at++
    this.#space()
    if (this.#take(close)) {
      return items
    }
    do {
      this.#space()
      items.push(item(items.length === 0))
      this.#space()
    } while (this.#take(','))
    if (!this.#take(close)) {
      this.#fail(`a comma or ${close}`)
    }
    return items
  }

  #string(): string {
    const start = this.#at++
    let piece: string
    do {
      piece = this.#match(PLAIN) || this.#match(ESCAPE)
    } while (piece !== '')
    if (!this.#take('"')) {
      this.#failInString()
    }
    // Checked as it is, JSON.parse takes it, and undoes the escapes.
    return JSON.parse(this.#text.slice(start, this.#at))
  }

  #failInString(): never {
    const start = this.#at
    if (!this.#take('\\')) {
      this.#fail('a closing quote')
    }
    if (!this.#take('u')) {
      this.#fail('one of " \\ / b f n r t u after a backslash')
    }
    if (this.#match(HEXADECIMAL) === '') {
      this.#fail('four hexadecimal digits after \\u')
    }
    const half = this.#text.slice(start, this.#at)
    throw new JsonMistake(start, `half a surrogate pair: ${half}`)
  }
}

function describe(character: number | undefined): string {
  if (character === undefined) {
    return 'the end of the text'
  }
  const code = `U+${character.toString(16).toUpperCase().padStart(4, '0')}`
  const visible = character > 0x20 && character !== 0x7f && character !== 0xfeff
  return visible ? `"${String.fromCodePoint(character)}"` : code
}

/** The tree of a JSON text, or what is wrong with it; half surrogate pairs are refused. */
export function parseJsonTree(text: string): { node: JsonNode } | { problem: JsonProblem } {
  try {
    return { node: new JsonParser(text).document() }
  } catch (error) {
    if (error instanceof JsonMistake) {
      return { problem: { position: error.position, reason: error.message } }
    }
    throw error
  }
}
