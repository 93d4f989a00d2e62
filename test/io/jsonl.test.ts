// JSON Lines: rows and problems with their line numbers, the same in one piece or in many.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type JsonLines,
  memoryDirectory,
  parseJsonLines,
  readJsonLines,
  streamJsonLines,
} from '../../src/io/index.ts'

const encode = (text: string): Uint8Array => new TextEncoder().encode(text)

async function streamed(bytes: Uint8Array, piece: number): Promise<JsonLines> {
  async function* pieces(): AsyncGenerator<Uint8Array> {
    const shared = new Uint8Array(piece)
    for (let at = 0; at < bytes.length; at += piece) {
      const part = bytes.subarray(at, at + piece)
      // One buffer for all pieces, as a reader of files may do it.
      shared.set(part)
      yield shared.subarray(0, part.length)
    }
  }
  const lines: JsonLines = { rows: [], problems: [] }
  for await (const parsed of streamJsonLines(pieces())) {
    if ('reason' in parsed) {
      lines.problems.push(parsed)
    } else {
      lines.rows.push(parsed)
    }
  }
  return lines
}

describe('parseJsonLines', () => {
  it('reads LF and CRLF lines, with and without a last line feed', () => {
    const want = [
      { line: 1, value: { text: 'a' } },
      { line: 2, value: { text: 'b' } },
    ]
    for (const text of [
      '{"text": "a"}\n{"text": "b"}\n',
      '{"text": "a"}\n{"text": "b"}',
      '{"text": "a"}\r\n{"text": "b"}\r\n',
      '\ufeff{"text": "a"}\r\n{"text": "b"}',
    ]) {
      expect(parseJsonLines(text)).toEqual({ rows: want, problems: [] })
    }
  })

  it('skips blank lines but counts them', () => {
    const { rows, problems } = parseJsonLines('\n1\n  \t\n\r\n2\n\n')
    expect(rows).toEqual([
      { line: 2, value: 1 },
      { line: 5, value: 2 },
    ])
    expect(problems).toEqual([])
    expect(parseJsonLines('')).toEqual({ rows: [], problems: [] })
    expect(parseJsonLines('\ufeff')).toEqual({ rows: [], problems: [] })
  })

  it('collects every bad line with its number and reason, and the good ones around', () => {
    const bytes = encode('{"a": 1}\n{"a": }\n{"a": 2}\nx\n"q"\n{"a": 3')
    const quoted = bytes.indexOf('q'.charCodeAt(0))
    bytes[quoted] = 0xff
    expect(parseJsonLines(bytes)).toEqual({
      rows: [
        { line: 1, value: { a: 1 } },
        { line: 3, value: { a: 2 } },
      ],
      problems: [
        { line: 2, reason: 'not JSON: column 7: expected a value, got "}"' },
        { line: 4, reason: 'not JSON: column 1: expected a value, got "x"' },
        { line: 5, reason: 'not UTF-8 at byte 2 of the line' },
        { line: 6, reason: 'not JSON: column 8: expected a comma or }, got the end of the text' },
      ],
    })
  })

  it('takes line separators of Unicode as text, and a byte order mark only at the start', () => {
    const { rows, problems } = parseJsonLines('"a\u2028b"\n\ufeff1\n')
    expect(rows).toEqual([{ line: 1, value: 'a\u2028b' }])
    expect(problems[0].line).toBe(2)
  })

  it('reads back any values', () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), values => {
        const text = values.map(value => JSON.stringify(value)).join('\n')
        const { rows, problems } = parseJsonLines(text)
        expect(problems).toEqual([])
        expect(rows.map(row => row.value)).toEqual(
          values.map(value => JSON.parse(JSON.stringify(value))),
        )
      }),
    )
  })
})

describe('streamJsonLines', () => {
  it('gives what parseJsonLines gives, however the bytes are cut', async () => {
    const line = fc.constantFrom('{"a": "é𝄞"}', '', '\r', '[1,', '"x"\r', '  ', 'nul', '\ufeff2')
    await fc.assert(
      fc.asyncProperty(fc.array(line), fc.integer({ min: 1, max: 40 }), async (lines, piece) => {
        const bytes = encode(lines.join('\n'))
        expect(await streamed(bytes, piece)).toEqual(parseJsonLines(bytes))
      }),
    )
  })

  it('reads a file of a source larger than one piece', async () => {
    const long = 'x'.repeat(700_000)
    const text = [1, 2, 3, 4].map(n => JSON.stringify({ n, long })).join('\n')
    const { rows, problems } = await readJsonLines(memoryDirectory({ 'd.jsonl': text }), 'd.jsonl')
    expect(rows.map(row => (row.value as { n: number }).n)).toEqual([1, 2, 3, 4])
    expect(rows.every(row => (row.value as { long: string }).long === long)).toBe(true)
    expect(problems).toEqual([])
  })
})
