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

/** Deeper nesting is refused: a file of brackets must not exhaust the stack. */
const MAX_DEPTH = 128

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const PLAIN = /[^"\\\p{Cc}]+/uy
const SPACE = /[ \t\n\r]*/y
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
}

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
    if (depth > MAX_DEPTH) {
      throw new JsonMistake(this.#at, `nested deeper than ${MAX_DEPTH} levels`)
    }
    switch (this.#text[this.#at]) {
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
    for (const [word, value] of [
      ['true', true],
      ['false', false],
      ['null', null],
    ] as const) {
      if (this.#text.startsWith(word, this.#at)) {
        this.#at += word.length
        return { kind: 'literal', value }
      }
    }
    const text = this.#match(NUMBER)
    return text === '' ? this.#fail('a value') : { kind: 'number', text }
  }

  #object(depth: number): JsonNode {
    const entries: JsonEntry[] = []
    this.#at++
    this.#space()
    if (this.#take('}')) {
      return { kind: 'object', entries }
    }
    do {
      this.#space()
      if (this.#text[this.#at] !== '"') {
        this.#fail(entries.length === 0 ? 'a key in quotes or }' : 'a key in quotes')
      }
      const key = this.#string()
      this.#space()
      if (!this.#take(':')) {
        this.#fail('a colon')
      }
      this.#space()
      entries.push({ key, value: this.#value(depth + 1) })
      this.#space()
    } while (this.#take(','))
    if (!this.#take('}')) {
      this.#fail('a comma or }')
    }
    return { kind: 'object', entries }
  }

  #array(depth: number): JsonNode {
    const items: JsonNode[] = []
    this.#at++
    this.#space()
    if (this.#take(']')) {
      return { kind: 'array', items }
    }
    do {
      this.#space()
      items.push(this.#value(depth + 1))
      this.#space()
    } while (this.#take(','))
    if (!this.#take(']')) {
      this.#fail('a comma or ]')
    }
    return { kind: 'array', items }
  }

  #string(): string {
    let value = ''
    this.#at++
    while (!this.#take('"')) {
      const plain = this.#match(PLAIN)
      value += plain
      if (plain === '') {
        value += this.#escapeOrControl()
      }
    }
    return value
  }

  #escapeOrControl(): string {
    const code = this.#text.charCodeAt(this.#at)
    if (code >= 0x7f) {
      // Unlike U+0000 to U+001F, the other control characters may stand in a string.
      this.#at++
      return String.fromCharCode(code)
    }
    if (!this.#take('\\')) {
      this.#fail('a closing quote')
    }
    if (this.#take('u')) {
      return this.#unicodeEscape()
    }
    const escaped = ESCAPES[this.#text[this.#at] ?? '']
    if (escaped === undefined) {
      this.#fail('one of " \\ / b f n r t u after a backslash')
    }
    this.#at++
    return escaped
  }

  #unicodeEscape(): string {
    const start = this.#at - 2
    const high = this.#hex()
    if (high < 0xd800 || high > 0xdfff) {
      return String.fromCharCode(high)
    }
    if (high < 0xdc00 && this.#text.startsWith('\\u', this.#at)) {
      this.#at += 2
      const low = this.#hex()
      if (low >= 0xdc00 && low <= 0xdfff) {
        return String.fromCharCode(high, low)
      }
    }
    throw new JsonMistake(start, `half a surrogate pair: \\u${high.toString(16)}`)
  }

  #hex(): number {
    const digits = this.#text.slice(this.#at, this.#at + 4)
    if (!/^[0-9a-fA-F]{4}$/.test(digits)) {
      this.#fail('four hexadecimal digits after \\u')
    }
    this.#at += 4
    return Number.parseInt(digits, 16)
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
