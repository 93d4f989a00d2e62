// Attention: shapes around the edges of tiles and panels, masks, windows, layouts, grouped heads, and
// the promise that a row's bits depend on its query and its keys alone.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { binary as core } from '../../src/backends/wasm/binaries/core.ts'
import { binary } from '../../src/backends/wasm/binaries/transformer.ts'
import { withBackend } from '../../src/core/backend.ts'
import { Random } from '../../src/core/rng.ts'
import { type Tensor, tensor } from '../../src/core/tensor.ts'
import { type AttentionOptions, scaledDotProductAttention } from '../../src/ops/attention.ts'
import { attentionScratch } from '../../src/ops/attention_shape.ts'
import { MATMUL_SCRATCH } from '../../src/ops/matmul.ts'
import { backends } from '../support/backends.ts'
import { KernelInstance } from '../support/instance.ts'
import { checkOp } from '../support/op.ts'

interface Sizes {
  B?: number
  H?: number
  Hkv?: number
  Tq: number
  Tk: number
  D?: number
  Dv?: number
}

const random = new Random(21, 'attention')
const draws = (count: number): Float32Array =>
  Float32Array.from({ length: count }, () => random.uniform() * 2 - 1)

function inputsOf({ B = 2, H = 2, Hkv = H, Tq, Tk, D = 8, Dv = D }: Sizes): { shape: number[] }[] {
  return [{ shape: [B, Tq, H, D] }, { shape: [B, Tk, Hkv, D] }, { shape: [B, Tk, Hkv, Dv] }]
}

function check(name: string, sizes: Sizes, options: AttentionOptions, small = true): void {
  checkOp({
    name,
    fn: (q, k, v) => scaledDotProductAttention(q, k, v, { enableGqa: true, ...options }),
    inputs: inputsOf(sizes),
    // Sums over at most 100 keys and 16 channels of products below 1, in f32.
    tolerance: 1e-5,
    gradcheck: small ? {} : false,
  })
}

describe('scaledDotProductAttention', () => {
  it.each([1, 2, 4, 5, 7, 8, 9])('%i queries of as many keys, causal or not', T => {
    check(`${T} tokens`, { Tq: T, Tk: T, D: 5 }, {}, T < 8)
    check(`${T} tokens, causal`, { Tq: T, Tk: T, D: 5 }, { isCausal: true }, T < 8)
  })

  it.each([39, 40, 41, 80, 81])('%i queries: tiles of forty', T => {
    check(`${T} tokens`, { B: 1, Tq: T, Tk: T, H: 2, Hkv: 1, D: 12 }, { isCausal: true }, false)
  })

  it.each([0, 1, 3, 8, 9, 16])('heads of %i channels', D => {
    check(`D = ${D}`, { B: 1, Tq: 3, Tk: 5, D, Dv: 8 }, { scale: 0.7 })
    check(`Dv = ${D}`, { B: 1, Tq: 3, Tk: 5, D: 4, Dv: D }, {})
  })

  // Scores divided by √D keep the errors of the longer products where those of sixteen channels are.
  it.each([20, 64, 260])('heads of %i channels, more keys than lanes of a workgroup', D => {
    check(`D = ${D}`, { B: 1, H: 1, Tq: 3, Tk: 70, D }, {}, false)
  })

  it('takes no tokens, no queries, no keys', () => {
    check('no batch', { B: 0, Tq: 2, Tk: 3 }, {})
    check('no queries', { Tq: 0, Tk: 3 }, {})
    check('no keys', { Tq: 2, Tk: 0 }, {})
  })

  it.each([1, 2, 3, 9, 12])('sees %i keys through a window', window => {
    check(`window ${window}`, { B: 1, Tq: 11, Tk: 11, D: 4 }, { window }, window < 4)
    check(`window ${window}, later`, { B: 1, Tq: 3, Tk: 11, D: 4 }, { window, queryOffset: 8 })
  })

  it('sees all keys through a window wider than a kernel can count', () => {
    check('2^32 + 1', { B: 1, Tq: 5, Tk: 5, D: 4 }, { window: 2 ** 32 + 1 })
  })

  it('shares keys between the query heads of a group', () => {
    check('two to a group', { B: 1, H: 4, Hkv: 2, Tq: 4, Tk: 6, D: 4 }, {})
    check('one query', { B: 2, H: 6, Hkv: 2, Tq: 1, Tk: 6, D: 4 }, {})
    check('all to one', { B: 1, H: 3, Hkv: 1, Tq: 4, Tk: 4, D: 4 }, { isCausal: true })
  })

  it('caps the scores softly', () => {
    check('soft cap', { B: 1, Tq: 4, Tk: 6, D: 4 }, { softcap: 0.8, scale: 1.5 })
    check('soft cap, causal', { B: 1, Tq: 9, Tk: 9, D: 4 }, { softcap: 0.8, isCausal: true }, false)
  })

  it.each([
    [[2, 3, 4, 5]],
    [[2, 1, 4, 5]],
    [[1, 3, 4, 5]],
    [[2, 1, 1, 5]],
    [[2, 1, 4, 1]],
    [[3, 1, 1]],
    [[4, 5]],
    [[5]],
    [[1]],
    [[]],
  ])('takes masks of shape %j, float and boolean', shape => {
    const sizes = { B: 2, H: 3, Tq: 4, Tk: 5, D: 4 }
    // The same for all keys, a mask changes nothing: its gradient is 0 but for rounding.
    const constant = (shape.at(-1) ?? 1) === 1
    checkOp({
      name: `additive ${shape}`,
      fn: (q, k, v, mask) => scaledDotProductAttention(q, k, v, { mask }),
      inputs: [...inputsOf(sizes), { shape, constant }],
      tolerance: 1e-5,
    })
    const count = shape.reduce((product, size) => product * size, 1)
    const seen = Int32Array.from({ length: count }, (_, i) => (i % 3 === 1 ? 0 : 1))
    checkOp({
      name: `boolean ${shape}`,
      fn: (q, k, v, mask) => scaledDotProductAttention(q, k, v, { mask, isCausal: true }),
      inputs: [...inputsOf(sizes), { shape, data: seen, dtype: 'int32' }],
      tolerance: 1e-5,
    })
  })

  it.each([
    ['q', [true, false, false]],
    ['k', [false, true, false]],
    ['v', [false, false, true]],
  ] as const)('gives the gradient of %s alone', (_name, needed) => {
    const inputs = inputsOf({ Tq: 4, Tk: 4, D: 4 })
    checkOp({
      name: 'one gradient',
      fn: (q, k, v) => scaledDotProductAttention(q, k, v, { isCausal: true }),
      inputs: inputs.map((input, i) => ({ ...input, constant: !needed[i] })),
      tolerance: 1e-5,
    })
  })

  it('agrees with plain attention for random sizes and options', () => {
    const size = fc.integer({ min: 1, max: 20 })
    fc.assert(
      fc.property(
        fc.record({ Tq: size, Tk: size, D: size, Dv: size, Hkv: fc.integer({ min: 1, max: 2 }) }),
        fc.record({
          isCausal: fc.boolean(),
          window: fc.option(size, { nil: undefined }),
          queryOffset: fc.integer({ min: 0, max: 12 }),
        }),
        (sizes, options) => {
          check('random', { ...sizes, B: 2, H: sizes.Hkv * 2 }, options, false)
        },
      ),
      { numRuns: 60 },
    )
  })
})

describe.each(backends)('scaledDotProductAttention on $name', ({ make }) => {
  const [B, H, Hkv, T, D] = [2, 4, 2, 290, 8]
  const q = draws(B * T * H * D)
  const k = draws(B * T * Hkv * D)
  const v = draws(B * T * Hkv * D)
  const operands = (): [Tensor, Tensor, Tensor] => [
    tensor(q, [B, T, H, D]),
    tensor(k, [B, T, Hkv, D]),
    tensor(v, [B, T, Hkv, D]),
  ]

  /** Tokens `from` to `to` of every batch entry. */
  function tokens(data: Float32Array, heads: number, from: number, to: number): Tensor {
    const row = heads * D
    const parts = Array.from({ length: B }, (_, b) =>
      Array.from(data.subarray((b * T + from) * row, (b * T + to) * row)),
    )
    return tensor(parts.flat(), [B, to - from, heads, D])
  }

  const variants: readonly AttentionOptions[] = [
    { isCausal: true },
    { window: 13 },
    { window: 150 },
    { isCausal: true, softcap: 0.5 },
  ]

  it.each(variants)('gives a query alone the bits it has among others: %j', variant => {
    withBackend(make(), () => {
      const options = { ...variant, enableGqa: true }
      const all = scaledDotProductAttention(...operands(), options).dataSync()
      const row = H * D
      for (const [from, to] of [
        [0, 1],
        [39, 40],
        [40, 41],
        [289, 290],
        [200, 240],
        [17, 62],
        [150, 290],
      ]) {
        const some = scaledDotProductAttention(
          tokens(q, H, from, to),
          tokens(k, Hkv, 0, to),
          tokens(v, Hkv, 0, to),
          { ...options, queryOffset: from },
        ).dataSync()
        for (let b = 0; b < B; b++) {
          const want = all.slice((b * T + from) * row, (b * T + to) * row)
          const got = some.slice(b * (to - from) * row, (b + 1) * (to - from) * row)
          expect(got, `queries ${from} to ${to} of entry ${b}`).toEqual(want)
        }
      }
    })
  })

  it('uses no key beyond keyLength', () => {
    withBackend(make(), () => {
      const options = { enableGqa: true }
      const want = scaledDotProductAttention(
        tokens(q, H, 0, 1),
        tokens(k, Hkv, 0, 37),
        tokens(v, Hkv, 0, 37),
        options,
      )
      const beyond = (data: Float32Array): Tensor =>
        tensor(
          data.map((value, i) => (Math.floor(i / (Hkv * D)) % T < 37 ? value : Number.NaN)),
          [B, T, Hkv, D],
        )
      const got = scaledDotProductAttention(tokens(q, H, 0, 1), beyond(k), beyond(v), {
        ...options,
        keyLength: 37,
      })
      expect(got.dataSync()).toEqual(want.dataSync())
    })
  })

  it('gives the same for heads before tokens', () => {
    const swapped = (data: ArrayLike<number>, heads: number): number[] => {
      const out = new Array<number>(data.length)
      for (let i = 0; i < data.length; i++) {
        const [d, h] = [i % D, Math.floor(i / D) % heads]
        const [t, b] = [Math.floor(i / D / heads) % T, Math.floor(i / D / heads / T)]
        out[((b * heads + h) * T + t) * D + d] = data[i]
      }
      return out
    }
    const turned = (data: Float32Array, heads: number): Tensor =>
      tensor(swapped(data, heads), [B, heads, T, D])
    withBackend(make(), () => {
      const options = { enableGqa: true, isCausal: true }
      const y = scaledDotProductAttention(...operands(), options).dataSync()
      const other = scaledDotProductAttention(turned(q, H), turned(k, Hkv), turned(v, Hkv), {
        ...options,
        layout: 'BHTD',
      })
      expect(other.shape).toEqual([B, H, T, D])
      expect(Array.from(other.dataSync())).toEqual(swapped(y, H))
    })
  })

  it('gives zeros to a query that sees no key', () => {
    withBackend(make(), () => {
      const mask = tensor([0, 1], [B, 1, 1, 1], { dtype: 'int32' })
      const y = scaledDotProductAttention(...operands(), { enableGqa: true, mask }).dataSync()
      expect(y.slice(0, T * H * D).every(value => value === 0)).toBe(true)
      expect(y.slice(T * H * D).every(value => value !== 0)).toBe(true)
      const late = scaledDotProductAttention(
        tokens(q, H, 0, 1),
        tokens(k, Hkv, 0, 3),
        tokens(v, Hkv, 0, 3),
        { enableGqa: true, window: 2, queryOffset: 50 },
      )
      expect(late.dataSync().every(value => value === 0)).toBe(true)
    })
  })

  it('lets a NaN through', () => {
    withBackend(make(), () => {
      const broken = k.slice()
      broken[0] = Number.NaN
      const [queries, , values] = operands()
      const y = scaledDotProductAttention(queries, tensor(broken, [B, T, Hkv, D]), values, {
        enableGqa: true,
      }).dataSync()
      expect(Number.isNaN(y[0])).toBe(true)
    })
  })

  it('needs memory for one tile of rows, not for all scores', () => {
    const backend = make()
    if (backend.name === 'reference') {
      return
    }
    withBackend(backend, () => {
      const long = backend.name === 'webgpu' ? 1024 : 4096
      backend.resetPeak()
      const wide = (): Tensor => tensor(new Float32Array(long * 8), [1, long, 1, 8])
      scaledDotProductAttention(wide(), wide(), wide(), { isCausal: true })
      expect(backend.memory().peak).toBeLessThan((long * long * 4) / 6)
    })
  })
})

describe('scaledDotProductAttention refuses', () => {
  const q = tensor(draws(24), [1, 3, 2, 4])
  const k = tensor(draws(24), [1, 3, 2, 4])

  it('sizes that do not fit', () => {
    expect(() => scaledDotProductAttention(q, tensor(draws(18), [1, 3, 2, 3]), k)).toThrow(
      'scaledDotProductAttention: k: expected [B, T, Hkv, D] with B = 1, D = 4, got [1, 3, 2, 3]',
    )
    expect(() => scaledDotProductAttention(q, k, tensor(draws(16), [1, 2, 2, 4]))).toThrow(
      'scaledDotProductAttention: v: expected [B, T, Hkv, Dv] with B = 1, T = 3, Hkv = 2, ' +
        'got [1, 2, 2, 4]',
    )
  })

  it('fewer key heads without enableGqa, or no divisor of the query heads', () => {
    const one = tensor(draws(12), [1, 3, 1, 4])
    expect(() => scaledDotProductAttention(q, one, one)).toThrow(
      'scaledDotProductAttention: expected as many key heads as query heads, got 1 and 2 ' +
        '(enableGqa: true takes a divisor of the query heads)',
    )
    const three = tensor(draws(36), [1, 3, 3, 4])
    expect(() => scaledDotProductAttention(q, three, three, { enableGqa: true })).toThrow(
      'got 3 and 2',
    )
    const none = tensor([], [1, 3, 0, 4])
    expect(() => scaledDotProductAttention(q, none, none, { enableGqa: true })).toThrow(
      'got 0 and 2',
    )
  })

  it('a mask that does not broadcast', () => {
    const mask = tensor([1, 1], [1, 2], { dtype: 'int32' })
    expect(() => scaledDotProductAttention(q, k, k, { mask })).toThrow(
      'scaledDotProductAttention: mask [1, 2] does not broadcast to [B, H, Tq, Tk] = [1, 2, 3, 3] ' +
        '(a padding mask [B, Tk] goes in as [B, 1, 1, Tk])',
    )
    const deep = tensor(draws(18), [1, 1, 2, 3, 3])
    expect(() => scaledDotProductAttention(q, k, k, { mask: deep })).toThrow(
      'mask [1, 1, 2, 3, 3] does not broadcast',
    )
  })

  it('counts out of range', () => {
    expect(() => scaledDotProductAttention(q, k, k, { keyLength: 4 })).toThrow(
      'scaledDotProductAttention: keyLength must be a whole number from 0 to 3, got 4',
    )
    expect(() => scaledDotProductAttention(q, k, k, { queryOffset: -1 })).toThrow(
      'scaledDotProductAttention: queryOffset must be a whole number from 0 up, got -1',
    )
    expect(() => scaledDotProductAttention(q, k, k, { window: 0 })).toThrow(
      'scaledDotProductAttention: window must be a whole number from 1 up, got 0',
    )
  })
})

describe('scratch', () => {
  const { kernels } = new KernelInstance(binary.module())
  // What a product may use beyond what it does would hide a part that is missing.
  const spare = MATMUL_SCRATCH - new KernelInstance(core.module()).kernels.matmul_scratch()

  it.each([
    [1, 1, 1],
    [8, 8, 8],
    [9, 64, 64],
    [17, 12, 5],
    [100, 7, 12],
    [9, 8, 64],
    [1000, 128, 3],
  ])('for %i keys of sizes %i and %i is what the kernels ask for', (Tk, D, Dv) => {
    const given = attentionScratch(Tk, D, Dv) - spare
    expect(kernels.attention_scratch(Tk, D, Dv)).toBeLessThanOrEqual(given)
    expect(kernels.attention_backward_scratch(Tk, D, Dv)).toBeLessThanOrEqual(given)
  })
})
