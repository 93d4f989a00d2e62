// Strict JSON: the same verdict as JSON.parse, with a place and a reason on every engine.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseJson, placeIn, tryDecodeUtf8, tryParseJson } from '../../src/io/json.ts'
import { type JsonNode, parseJsonTree } from '../../src/io/json-tree.ts'

const encode = (text: string): Uint8Array => new TextEncoder().encode(text)

function plainValue(node: JsonNode): unknown {
  switch (node.kind) {
    case 'object':
      return Object.fromEntries(node.entries.map(({ key, value }) => [key, plainValue(value)]))
    case 'array':
      return node.items.map(plainValue)
    case 'number':
      return Number(node.text)
    default:
      return node.value
  }
}

function accepts(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

function reasonOf(text: string): string {
  const result = parseJsonTree(text)
  return 'problem' in result ? `${result.problem.position}: ${result.problem.reason}` : 'none'
}

/** Valid texts with one character put in, taken out or changed. */
const damaged = fc
  .record({
    text: fc.json({ maxDepth: 4 }),
    at: fc.nat(),
    cut: fc.integer({ min: 0, max: 2 }),
    put: fc.constantFrom(
      '',
      '"',
      '\\',
      '{',
      ']',
      ',',
      ':',
      '0',
      '-',
      '.',
      'e',
      ' ',
      '\n',
      '\u0000',
      'é',
    ),
  })
  .map(({ text, at, cut, put }) => {
    const place = at % (text.length + 1)
    return text.slice(0, place) + put + text.slice(place + cut)
  })

describe('parseJsonTree', () => {
  it('reads what JSON.parse reads', () => {
    fc.assert(
      fc.property(fc.json(), text => {
        const result = parseJsonTree(text)
        expect('node' in result && plainValue(result.node)).toEqual(JSON.parse(text))
      }),
    )
  })

  it('refuses what JSON.parse refuses, and little more', () => {
    const halfPair = /\\u[dD][89a-fA-F]/
    const huge = /[eE]\+?0*[1-9]\d{2}/
    fc.assert(
      fc.property(damaged, text => {
        fc.pre(!halfPair.test(text) && !huge.test(text))
        expect('node' in parseJsonTree(text)).toBe(accepts(text))
      }),
      { numRuns: 2000 },
    )
  })

  it('keeps repeated keys and the text of numbers', () => {
    expect(parseJsonTree('{"a": 2.0, "a": 9007199254740993}')).toEqual({
      node: {
        kind: 'object',
        entries: [
          { key: 'a', value: { kind: 'number', text: '2.0' } },
          { key: 'a', value: { kind: 'number', text: '9007199254740993' } },
        ],
      },
    })
  })

  it('says what it expected, what it got, and where', () => {
    expect(reasonOf('')).toBe('0: expected a value, got the end of the text')
    expect(reasonOf('{"a" 1}')).toBe('5: expected a colon, got "1"')
    expect(reasonOf('{a: 1}')).toBe('1: expected a key in quotes or }, got "a"')
    expect(reasonOf('{"a": 1,}')).toBe('8: expected a key in quotes, got "}"')
    expect(reasonOf('{"a": 1 "b"')).toBe('8: expected a comma or }, got """')
    expect(reasonOf('[1 2]')).toBe('3: expected a comma or ], got "2"')
    expect(reasonOf('[1] x')).toBe('4: expected the end, got "x"')
    expect(reasonOf('"a\nb"')).toBe('2: expected a closing quote, got U+000A')
    expect(reasonOf('"\\x"')).toBe(
      '2: expected one of " \\ / b f n r t u after a backslash, got "x"',
    )
    expect(reasonOf('"\\u12g4"')).toBe('3: expected four hexadecimal digits after \\u, got "1"')
    expect(reasonOf('01')).toBe('1: expected the end, got "1"')
    expect(reasonOf('\ufeff1')).toBe('0: expected a value, got U+FEFF')
  })

  it('refuses half a surrogate pair and takes a whole one', () => {
    expect(reasonOf('"\\ud834"')).toBe('1: half a surrogate pair: \\ud834')
    expect(reasonOf('"\\udd1e"')).toBe('1: half a surrogate pair: \\udd1e')
    expect(reasonOf('"\\ud834\\u0041"')).toBe('1: half a surrogate pair: \\ud834')
    expect(parseJsonTree('"\\ud834\\udd1e"')).toEqual({ node: { kind: 'string', value: '𝄞' } })
  })

  it('refuses numbers beyond float64, wherever they stand', () => {
    for (const text of ['1e999', '-1e999', '9'.repeat(400)]) {
      expect(reasonOf(`{"a": ${text}}`)).toBe('6: expected a number that float64 can hold')
    }
    expect(reasonOf('[1e-999, 1e308]')).toBe('none')
  })

  it('refuses deep nesting without exhausting the stack', () => {
    const deep = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth)
    expect(reasonOf(deep(127))).toBe('none')
    expect(reasonOf(`${'['.repeat(127)}1${']'.repeat(127)}`)).toBe('none')
    expect(reasonOf(deep(128))).toBe('127: nested deeper than 127 levels')
    expect(reasonOf(deep(1_000_000))).toBe('127: nested deeper than 127 levels')
    expect(reasonOf('{"a":'.repeat(100_000))).toContain('nested deeper than 127 levels')
  })
})

describe('parseJson', () => {
  it('gives the value, with or without a byte order mark', () => {
    expect(parseJson(encode('{"r": 8}'), 'c.json')).toEqual({ r: 8 })
    expect(parseJson(encode('\ufeff[1]'), 'c.json')).toEqual([1])
  })

  it('names the file, the line and the column of a mistake', () => {
    expect(() => parseJson(encode('{\n  "r": 8,\n}\n'), 'adapter_config.json')).toThrow(
      'adapter_config.json: not JSON: line 3, column 1: expected a key in quotes, got "}"',
    )
  })

  it('names the byte that is not UTF-8', () => {
    const bytes = encode('{"é": "x"}')
    bytes[8] = 0xff
    expect(() => parseJson(bytes, 'c.json')).toThrow(
      'c.json: expected UTF-8, got something else at byte 8',
    )
  })
})

describe('tryDecodeUtf8', () => {
  it('finds the first bad byte wherever it is', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.string(), (before, after) => {
        const good = encode(before)
        const bytes = new Uint8Array([...good, 0xfe, ...encode(after)])
        expect(tryDecodeUtf8(bytes)).toEqual({ position: good.length })
      }),
    )
  })

  it('points at the end of a text that breaks off inside a character', () => {
    expect(tryDecodeUtf8(encode('añ').subarray(0, 2))).toEqual({ position: 2 })
  })
})

describe('placeIn and tryParseJson', () => {
  it('count lines and columns from 1', () => {
    expect(placeIn('ab\ncd', 0)).toBe('line 1, column 1')
    expect(placeIn('ab\ncd', 4)).toBe('line 2, column 2')
  })

  it('explain even what exhausts JSON.parse', () => {
    const result = tryParseJson('['.repeat(10_000_000))
    expect(result).toEqual({ problem: { position: 127, reason: 'nested deeper than 127 levels' } })
  })
})
