// Writing safetensors: the reference's bytes, and nothing that the reader would refuse.

import { readdir, readFile } from 'node:fs/promises'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  byteLength,
  encodeSafetensors,
  memoryDirectory,
  parseSafetensors,
  STORED_DTYPES,
  type StoredDType,
  streamSafetensors,
  type TensorContent,
} from '../../src/io/index.ts'

const GOLDEN = new URL('../golden/', import.meta.url)

async function gather(pieces: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const files = memoryDirectory()
  await files.write('x', pieces)
  return files.read('x')
}

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

type Whole = TensorContent & { readonly bytes: Uint8Array }

function zeros(dtype: StoredDType, shape: readonly number[]): Whole {
  return { dtype, shape, bytes: new Uint8Array(byteLength(dtype, shape)) }
}

describe('files of the reference', async () => {
  const names = (await readdir(GOLDEN, { recursive: true })).filter(
    name => name.endsWith('.safetensors') && !name.startsWith('hostile'),
  )

  it('are there, adapters in single and in half precision among them', () => {
    expect(names).toContain('safetensors/float32.safetensors')
    expect(names).toContain('safetensors/half.safetensors')
  })

  it('come out the same when their tensors are saved again', async () => {
    for (const name of names) {
      const want = await readFile(new URL(name, GOLDEN))
      const { tensors, metadata } = parseSafetensors(want, name)
      const shuffled = new Map([...tensors].reverse())
      expect(want.equals(encodeSafetensors(shuffled, metadata)), name).toBe(true)
    }
  })

  it('order all element types and names as the reference does', async () => {
    for (const name of ['valid_all_dtypes', 'valid_saved_with_metadata']) {
      const want = await readFile(new URL(`hostile/safetensors/${name}.safetensors`, GOLDEN))
      const { tensors, metadata } = parseSafetensors(want)
      expect(want.equals(encodeSafetensors(tensors, metadata)), name).toBe(true)
    }
  })
})

describe('encodeSafetensors', () => {
  it('writes the bytes by hand', () => {
    const tensors = new Map<string, Whole>([
      ['b', { dtype: 'F16', shape: [], bytes: new Uint8Array([1, 2]) }],
      ['a', { dtype: 'F16', shape: [1], bytes: new Uint8Array([3, 4]) }],
      ['z', { dtype: 'F32', shape: [1], bytes: new Uint8Array([5, 6, 7, 8]) }],
    ])
    const header =
      '{"__metadata__":{"format":"pt"},' +
      '"z":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},' +
      '"a":{"dtype":"F16","shape":[1],"data_offsets":[4,6]},' +
      '"b":{"dtype":"F16","shape":[],"data_offsets":[6,8]}}'
    const padding = ' '.repeat((8 - (header.length % 8)) % 8)
    const file = encodeSafetensors(tensors, { format: 'pt' })
    expect(Array.from(file.subarray(0, 8))).toEqual([
      header.length + padding.length,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
    ])
    expect(text(file.subarray(8, -8))).toBe(header + padding)
    expect(Array.from(file.subarray(-8))).toEqual([5, 6, 7, 8, 3, 4, 1, 2])
  })

  it('writes no tensors, with and without metadata', () => {
    expect(text(encodeSafetensors(new Map()).subarray(8))).toBe('{}      ')
    expect(text(encodeSafetensors(new Map(), new Map()).subarray(8))).toContain(
      '{"__metadata__":{}}',
    )
  })

  it('orders names by their UTF-8 bytes, not by UTF-16 units', () => {
    const names = ['\u{1f600}', '\uffee', 'b', 'ab', 'a', '']
    const tensors = new Map(names.map(name => [name, zeros('U8', [1])]))
    expect([...parseSafetensors(encodeSafetensors(tensors)).tensors.keys()]).toEqual([
      '',
      'a',
      'ab',
      'b',
      '\uffee',
      '\u{1f600}',
    ])
  })

  const names = fc.string({
    unit: fc.constantFrom('a', 'é', '"', '\\', '\n', '\0', '𝄞', '\ue000', '/'),
  })
  const tensor = fc.record({
    dtype: fc.constantFrom(...STORED_DTYPES),
    shape: fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 3 }),
  })

  it('gives what it reads back: names, shapes, bytes, metadata', () => {
    const entries = fc.array(fc.tuple(names, tensor))
    const metadata = fc.option(fc.array(fc.tuple(names, names)), { nil: undefined })
    fc.assert(
      fc.property(entries, metadata, fc.nat(), (list, pairs, seed) => {
        const tensors = new Map<string, Whole>()
        for (const [name, { dtype, shape }] of list) {
          const size = byteLength(dtype, shape)
          if (Number.isInteger(size)) {
            const bytes = Uint8Array.from({ length: size }, (_, i) => i * 7 + seed)
            tensors.set(name, { dtype, shape, bytes })
          }
        }
        const file = encodeSafetensors(tensors, pairs && new Map(pairs))
        const back = parseSafetensors(file)
        expect(new Map([...back.tensors].sort())).toEqual(new Map([...tensors].sort()))
        expect(back.metadata).toEqual(pairs && new Map(pairs))
        expect(encodeSafetensors(back.tensors, back.metadata)).toEqual(file)
      }),
    )
  })

  it('collects what is wrong with the tensors', () => {
    const bytes = new Uint8Array(4)
    const tensors = new Map<string, Whole>([
      ['__metadata__', { dtype: 'F32', shape: [1], bytes }],
      ['half \ud834', { dtype: 'F32', shape: [1], bytes }],
      ['type', { dtype: 'f32' as 'F32', shape: [1], bytes }],
      ['size', { dtype: 'F32', shape: [-1], bytes }],
      ['bits', { dtype: 'F4', shape: [3], bytes }],
      ['short', { dtype: 'F32', shape: [2, 3], bytes }],
    ])
    let message = ''
    try {
      encodeSafetensors(tensors)
    } catch (error) {
      message = (error as Error).message
    }
    expect(message).toContain('safetensors: 6 problems')
    expect(message).toContain('"__metadata__" cannot name a tensor')
    expect(message).toContain('"half \\ud834" cannot name a tensor')
    expect(message).toContain('expected the dtype of "type" to be one of BOOL')
    expect(message).toContain('"size" is F32 [-1], which is no whole number of bytes')
    expect(message).toContain('"bits" is F4 [3], which is no whole number of bytes')
    expect(message).toContain('"short" is F32 [2, 3], 24 bytes, but has 4')
  })

  it('refuses metadata that is no text', () => {
    const metadata = { step: 3 } as unknown as Record<string, string>
    expect(() => encodeSafetensors(new Map(), metadata)).toThrow(
      'safetensors: expected metadata "step" to be a string, got 3',
    )
  })
})

describe('streamSafetensors', () => {
  it('gives the same bytes as in one piece, each tensor made when it is due', async () => {
    const order: string[] = []
    const lazy = (name: string, byte: number): TensorContent => ({
      dtype: 'U8',
      shape: [3],
      bytes: async () => {
        order.push(name)
        return new Uint8Array(3).fill(byte)
      },
    })
    const tensors = new Map([
      ['b', lazy('b', 2)],
      ['a', lazy('a', 1)],
    ])
    const stream = streamSafetensors(tensors, { format: 'pt' })
    expect(order).toEqual([])
    const file = await gather(stream)
    expect(order).toEqual(['a', 'b'])
    const whole = new Map<string, Whole>([
      ['a', { dtype: 'U8', shape: [3], bytes: new Uint8Array(3).fill(1) }],
      ['b', { dtype: 'U8', shape: [3], bytes: new Uint8Array(3).fill(2) }],
    ])
    expect(file).toEqual(encodeSafetensors(whole, { format: 'pt' }))
    expect(await gather(stream)).toEqual(file)
  })

  it('refuses bad tensors before the first piece, wrong sizes when they are due', async () => {
    const negative = { dtype: 'F32', shape: [-1], bytes: () => new Uint8Array(4) } as const
    expect(() => streamSafetensors(new Map([['w', negative]]))).toThrow('no whole number of bytes')
    const short = { dtype: 'F32', shape: [2], bytes: () => new Uint8Array(4) } as const
    await expect(gather(streamSafetensors(new Map([['w', short]])))).rejects.toThrow(
      '"w" is F32 [2], 8 bytes, but got 4',
    )
  })
})
