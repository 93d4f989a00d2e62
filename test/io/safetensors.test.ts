// Reading safetensors: every rule of the format by literal bytes, the golden hostile files, lazy
// reads, shards.

import { readdir, readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import {
  type ByteSource,
  encodeSafetensors,
  fromNumbers,
  memoryDirectory,
  openSafetensors,
  openTensors,
  parseSafetensors,
  toFloat32,
} from '../../src/io/index.ts'
import { headerLength, parseHeader } from '../../src/io/safetensors-header.ts'
import { SAFETENSORS_RULES, type SafetensorsRule } from '../../src/io/safetensors-rules.ts'

const GOLDEN = new URL('../golden/hostile/', import.meta.url)

/** A file: the length of the header, the header (a text, one byte per character), `data` zeros. */
function file(header: string, data: number, length: bigint = BigInt(header.length)): Uint8Array {
  const bytes = new Uint8Array(8 + header.length + data)
  new DataView(bytes.buffer).setBigUint64(0, length, true)
  bytes.set(
    Array.from(header, character => character.charCodeAt(0)),
    8,
  )
  return bytes
}

function problemsOf(bytes: Uint8Array): { rule: SafetensorsRule; text: string }[] {
  const prefix = headerLength(bytes.subarray(0, 8), bytes.length)
  if ('problem' in prefix) {
    return [prefix.problem]
  }
  const dataStart = 8 + prefix.length
  return [...parseHeader(bytes.subarray(8, dataStart), bytes.length - dataStart).problems]
}

const W = '"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}'

/** For each rule, files that break it and no other, and what is said. */
const BROKEN: Readonly<Record<SafetensorsRule, readonly (readonly [Uint8Array, string])[]>> = {
  'too-short': [
    [new Uint8Array(0), 'expected a file of at least 8 bytes, got 0'],
    [new Uint8Array(7), 'expected a file of at least 8 bytes, got 7'],
  ],
  'header-too-long': [
    [
      file('{}', 0, 100_000_001n),
      'expected a header of at most 100000000 bytes, got a length of 100000001',
    ],
    [file('{}', 0, 2n ** 64n - 1n), 'got a length of 18446744073709551615'],
  ],
  'header-beyond-end': [[file('{}', 0, 3n), 'expected a header of 3 bytes, got 2 bytes']],
  utf8: [[file('{"\xff":1}', 0), 'expected a header in UTF-8, got something else at byte 2']],
  json: [
    [file('', 0), 'line 1, column 1: expected a value, got the end of the text'],
    [file(`{${W},}`, 8), 'expected a key in quotes, got "}"'],
    [file('{} x', 0), 'column 4: expected the end, got "x"'],
  ],
  'no-object': [
    [file('[]', 0), 'expected a JSON object as header, got an array'],
    [file('null', 0), 'expected a JSON object as header, got null'],
  ],
  duplicate: [
    [file(`{"__metadata__":{},"__metadata__":{},${W}}`, 8), '"__metadata__" comes twice'],
    [file(`{${W.replace('{', '{"dtype":"F32",')}}`, 8), '"w" has "dtype" twice'],
  ],
  metadata: [
    [
      file('{"__metadata__":[]}', 0),
      'expected "__metadata__" to be an object of strings, got an array',
    ],
    [file('{"__metadata__":{"a":1}}', 0), 'expected metadata "a" to be a string, got 1'],
  ],
  entry: [
    [file('{"w":5}', 0), 'expected "w" to be an object, got 5'],
    [file('{"w":["F32",[2],[0,8]]}', 8), 'expected "w" to be an object, got an array'],
    [file('{"w":{"dtype":"F32","shape":[2]}}', 8), 'expected "w" to have "data_offsets", got none'],
  ],
  dtype: [
    [file(`{${W.replace('F32', 'f32')}}`, 8), 'expected the dtype of "w" to be one of BOOL, F4'],
    [file(`{${W.replace('"F32"', '32')}}`, 8), 'F64, I64, U64, got 32'],
  ],
  shape: [
    [
      file(`{${W.replace('[2]', '[-2]')}}`, 8),
      'expected the shape of "w" to be whole numbers, got [-2]',
    ],
    [file(`{${W.replace('[2]', '[2.0]')}}`, 8), 'got [2.0]'],
    [file(`{${W.replace('[2]', '[-0]')}}`, 8), 'got [-0]'],
    [file(`{${W.replace('[2]', '[18446744073709551616]')}}`, 8), 'got [18446744073709551616]'],
    [file(`{${W.replace('[2]', '2')}}`, 8), 'got 2'],
  ],
  offsets: [
    [
      file(`{${W.replace('[0,8]', '[0]')}}`, 8),
      'expected the offsets of "w" to be [start, end], got [0]',
    ],
    [file(`{${W.replace('[0,8]', '[0,8,8]')}}`, 8), 'got [0, 8, 8]'],
    [file(`{${W.replace('[0,8]', '["0",8]')}}`, 8), 'got ["0", 8]'],
  ],
  overflow: [
    [
      file('{"w":{"dtype":"F32","shape":[4294967296,4294967296,0],"data_offsets":[0,0]}}', 0),
      '"w" is F32 [4294967296, 4294967296, 0], which is more than can be counted',
    ],
    [
      file('{"w":{"dtype":"F32","shape":[0,18446744073709551615],"data_offsets":[0,0]}}', 0),
      'which is more than can be counted',
    ],
    // In bits: 2⁵⁸ elements of 64 bits are 2⁶⁴.
    [
      file('{"w":{"dtype":"F64","shape":[288230376151711744],"data_offsets":[0,0]}}', 0),
      'which is more than can be counted',
    ],
  ],
  'part-of-byte': [
    [
      file('{"w":{"dtype":"F4","shape":[3],"data_offsets":[0,1]}}', 1),
      '"w" is F4 [3], 12 bits, which is no whole number of bytes',
    ],
  ],
  size: [
    [file(`{${W.replace('[2]', '[3]')}}`, 8), '"w" is F32 [3], 12 bytes, but its offsets cover 8'],
    [file(`{${W.replace('F32', 'F16')}}`, 8), '"w" is F16 [2], 4 bytes, but its offsets cover 8'],
  ],
  reversed: [
    [
      file(`{${W.replace('[0,8]', '[8,0]')}}`, 8),
      '"w" is F32 [2], but its offsets run backwards, from 8 to 0',
    ],
  ],
  hole: [
    [
      file(`{${W.replace('[0,8]', '[4,12]')}}`, 12),
      '4 bytes between the header and "w" belong to nothing',
    ],
    [
      file(`{${W},${W.replace('"w"', '"x"').replace('[0,8]', '[9,17]')}}`, 17),
      '1 bytes between "w" and "x" belong to nothing',
    ],
  ],
  overlap: [
    [
      file(`{${W},${W.replace('"w"', '"x"').replace('[0,8]', '[7,15]')}}`, 15),
      '"x" starts at byte 7, inside "w", which ends at 8',
    ],
    [
      file(`{${W},"z":{"dtype":"F32","shape":[0],"data_offsets":[4,4]}}`, 8),
      '"z" starts at byte 4, inside "w", which ends at 8',
    ],
  ],
  coverage: [
    [file(`{${W}}`, 7), 'the tensors need 8 bytes, the file has 7 (is it complete?)'],
    [file(`{${W}}`, 9), 'the tensors end at byte 8 of the data, the file at 9'],
    [file('{}', 1), 'the tensors end at byte 0 of the data, the file at 1'],
  ],
}

describe('the rules of the format', () => {
  it.each(SAFETENSORS_RULES)('%s', rule => {
    expect(BROKEN[rule].length).toBeGreaterThan(0)
    for (const [bytes, text] of BROKEN[rule]) {
      const problems = problemsOf(bytes)
      expect(problems.map(problem => problem.rule)).toEqual([rule])
      expect(problems[0].text).toContain(text)
      expect(() => parseSafetensors(bytes, 'x')).toThrow(`safetensors: x: ${problems[0].text}`)
    }
  })

  it('are all reported at once', () => {
    const header =
      '{"__metadata__":{"a":1},"b":{"dtype":"F31","shape":[-1],"data_offsets":[0]},' +
      '"c":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}'
    expect(problemsOf(file(header, 8)).map(problem => problem.rule)).toEqual([
      'metadata',
      'dtype',
      'shape',
      'offsets',
      'size',
    ])
    expect(() => parseSafetensors(file(header, 8), 'x')).toThrow('safetensors: x: 5 problems\n  - ')
  })

  it('are not reported by the thousand', () => {
    const entries = Array.from({ length: 1000 }, (_, i) => `"t${i}":0`)
    expect(() => parseSafetensors(file(`{${entries.join(',')}}`, 0), 'x')).toThrow(/and 980 more$/)
  })
})

interface GoldenLine {
  readonly file: string
  readonly outcome: 'accepts' | 'raises'
  readonly tensors: Record<string, { dtype: string; shape: number[]; bytes: string }>
  readonly metadata: Record<string, string> | null
}

function expectGolden(line: GoldenLine, bytes: Uint8Array): void {
  const { tensors, metadata } = parseSafetensors(bytes)
  const got = Array.from(tensors, ([name, { dtype, shape, bytes }]) => {
    return [name, { dtype, shape, bytes: Buffer.from(bytes).toString('hex') }] as const
  })
  const byName = (a: readonly [string, unknown], b: readonly [string, unknown]): number =>
    a[0] < b[0] ? -1 : 1
  expect(got.sort(byName)).toEqual(Object.entries(line.tensors).sort(byName))
  const want = line.metadata && Object.entries(line.metadata).sort(byName)
  expect(metadata ? [...metadata].sort(byName) : null).toEqual(want)
}

describe('the golden hostile files', async () => {
  const text = await readFile(new URL('safetensors.jsonl', GOLDEN), 'utf8')
  const lines = text
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as GoldenLine)

  it('are all there', async () => {
    const files = await readdir(new URL('safetensors/', GOLDEN))
    expect(files.map(name => `safetensors/${name}`).sort()).toEqual(lines.map(l => l.file).sort())
    expect(lines.length).toBeGreaterThan(90)
  })

  it.each(lines)('$file: $outcome', async line => {
    const bytes = await readFile(new URL(line.file, GOLDEN))
    const source = memoryDirectory({ 'x.safetensors': bytes })
    if (line.outcome === 'accepts') {
      expectGolden(line, bytes)
      const opened = await openSafetensors(source, 'x.safetensors')
      for (const [name, tensor] of Object.entries(line.tensors)) {
        expect(Buffer.from(await opened.read(name)).toString('hex')).toBe(tensor.bytes)
      }
      return
    }
    expect(() => parseSafetensors(bytes)).toThrow(/^safetensors: file: /)
    await expect(openSafetensors(source, 'x.safetensors')).rejects.toMatchObject({
      code: 'file',
      message: expect.stringMatching(/^safetensors: memory\/x\.safetensors: /),
    })
  })
})

/** A source that notes which bytes are read. */
function watched(source: ByteSource): { source: ByteSource; reads: [number, number][] } {
  const reads: [number, number][] = []
  const read = async (name: string, start: number = 0, end?: number): Promise<Uint8Array> => {
    reads.push([start, end ?? (await source.size(name))])
    return source.read(name, start, end)
  }
  const has = (name: string): Promise<boolean> => source.has(name)
  const size = (name: string): Promise<number> => source.size(name)
  return { source: { label: 'watched', has, size, read, list: () => source.list() }, reads }
}

function oneTensor(name: string, values: number[]): Uint8Array {
  const bytes = fromNumbers(values, 'F32')
  return encodeSafetensors(new Map([[name, { dtype: 'F32', shape: [values.length], bytes }]]))
}

describe('openSafetensors', () => {
  it('reads the header, then only what is asked for', async () => {
    const bytes = new Uint8Array(400_000).map((_, i) => i)
    const tensors = new Map([
      ['a', { dtype: 'U8', shape: [400_000], bytes }],
      ['b', { dtype: 'F32', shape: [2], bytes: fromNumbers([1, 2], 'F32') }],
    ] as const)
    const data = encodeSafetensors(tensors)
    const { source, reads } = watched(memoryDirectory({ 'm.safetensors': data }))
    const opened = await openSafetensors(source, 'm.safetensors')
    expect(reads).toEqual([[0, 65_536]])
    expect(Array.from(toFloat32(await opened.read('b'), 'F32'))).toEqual([1, 2])
    expect(await opened.read('a', 100, 104)).toEqual(bytes.subarray(100, 104))
    expect(reads.slice(1).map(([start, end]) => end - start)).toEqual([8, 4])
    expect([...opened.tensors.keys()]).toEqual(['b', 'a'])
  })

  it('reads a header longer than its first read', async () => {
    const tensors = Array.from({ length: 3000 }, (_, i) => {
      return [`layer.${i}`, { dtype: 'U8', shape: [1], bytes: new Uint8Array([i]) }] as const
    })
    const data = encodeSafetensors(new Map(tensors))
    const opened = await openSafetensors(memoryDirectory({ m: data }), 'm')
    expect(opened.tensors.size).toBe(3000)
    expect(await opened.read('layer.2999')).toEqual(new Uint8Array([2999 % 256]))
  })

  it('says what is missing: the file, a tensor, a part of a tensor', async () => {
    const source = memoryDirectory({ 'w.safetensors': oneTensor('w', [1, 2]) })
    await expect(openSafetensors(source, 'x.safetensors')).rejects.toThrow(
      'memory: expected a file "x.safetensors", got none (there are w.safetensors)',
    )
    const opened = await openSafetensors(source, 'w.safetensors')
    await expect(opened.read('x')).rejects.toThrow('expected a tensor "x", got 1 others')
    await expect(opened.read('w', 4, 9)).rejects.toThrow(
      'expected bytes 4 to 9, got a file of 8 bytes',
    )
  })
})

describe('openTensors', () => {
  const index = (map: unknown): string => JSON.stringify({ metadata: {}, weight_map: map })

  it('reads one file or shards alike', async () => {
    const single = memoryDirectory({ 'model.safetensors': oneTensor('a', [1]) })
    expect([...(await openTensors(single)).tensors.keys()]).toEqual(['a'])
    const sharded = memoryDirectory({
      'model-1.safetensors': oneTensor('a', [1]),
      'model-2.safetensors': oneTensor('b', [2]),
      'model.safetensors.index.json': index({ b: 'model-2.safetensors', a: 'model-1.safetensors' }),
    })
    const opened = await openTensors(sharded)
    expect([...opened.tensors.keys()]).toEqual(['b', 'a'])
    expect(Array.from(toFloat32(await opened.read('b'), 'F32'))).toEqual([2])
  })

  it('collects shards that are missing or damaged, and tensors that are not in theirs', async () => {
    const broken = memoryDirectory({
      'm.safetensors.index.json': index({ a: '1', b: '2', c: '3' }),
      '2': new Uint8Array(3),
      '3': oneTensor('c', [1]),
    })
    const message = await openTensors(broken, 'm').catch(error => String(error.message))
    expect(message).toContain('memory/m.safetensors.index.json: 2 problems')
    expect(message).toContain('expected a file "1", got none')
    expect(message).toContain('safetensors: memory/2: expected a file of at least 8 bytes, got 3')
    const misplaced = memoryDirectory({
      'm.safetensors.index.json': index({ a: '1', b: '1' }),
      '1': oneTensor('c', [1]),
    })
    await expect(openTensors(misplaced, 'm')).rejects.toThrow(
      'expected "b" in 1, got a file without it',
    )
  })

  it('refuses an index that is none, or that leads out of the directory', async () => {
    for (const [text, message] of [
      ['[]', 'expected an object "weight_map", got none'],
      ['null', 'expected an object "weight_map", got none'],
      ['{"weight_map": ["a"]}', 'expected an object "weight_map", got none'],
      ['{"weight_map": {"a": 1}}', 'expected a file name for "a", got 1'],
      ['{"weight_map": {"a": "../../secret"}}', 'expected a plain file name inside the directory'],
      ['{', 'not JSON: line 1, column 2'],
    ]) {
      const source = memoryDirectory({ 'model.safetensors.index.json': text })
      await expect(openTensors(source)).rejects.toThrow(message)
    }
  })

  it('refuses such an index also over a source that would take the name', async () => {
    const text = '{"weight_map": {"a": "../x"}}'
    const lax: ByteSource = {
      label: 'lax',
      has: async name => name.endsWith('.index.json'),
      size: async () => text.length,
      read: async () => new TextEncoder().encode(text),
      list: async () => [],
    }
    await expect(openTensors(lax)).rejects.toThrow('lax: expected a plain file name inside')
  })

  it('names the single file where neither is there', async () => {
    await expect(openTensors(memoryDirectory())).rejects.toThrow(
      'expected a file "model.safetensors"',
    )
  })
})
