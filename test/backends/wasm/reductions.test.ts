// The kernels of sums, reductions, softmax and of moving elements against the loops that define them,
// between guard words, at sizes around vectors and blocks: all of an output is written and nothing
// outside of it. Sums are kept in f64 and rounded once, so the bound is half a unit in the last place,
// 2⁻²⁴, times the few roundings that follow, plus what the size of the terms leaves of 2⁻⁵³.

import { describe, expect, it } from 'vitest'
import { binary as core } from '../../../src/backends/wasm/binaries/core.ts'
import { binary as indexing } from '../../../src/backends/wasm/binaries/indexing.ts'
import { binary as reductions } from '../../../src/backends/wasm/binaries/reductions.ts'
import type { Binary } from '../../../src/core/backend.ts'
import { Random } from '../../../src/core/rng.ts'
import { amaxReference } from '../../../src/ops/amax.ts'
import { cumsumReference } from '../../../src/ops/cumsum.ts'
import { gatherReference } from '../../../src/ops/gather.ts'
import { indexSelectReference } from '../../../src/ops/index_select.ts'
import { linearReference } from '../../../src/ops/linear_reference.ts'
import { logSoftmaxReference } from '../../../src/ops/log_softmax.ts'
import { logsumexpReference } from '../../../src/ops/logsumexp.ts'
import { prodReference } from '../../../src/ops/prod.ts'
import { softmaxReference } from '../../../src/ops/softmax.ts'
import { strided } from '../../../src/ops/strided.ts'
import { sumReference } from '../../../src/ops/sum.ts'
import { sumSquaresReference } from '../../../src/ops/sum_squares.ts'
import { Guarded } from '../../support/guarded.ts'
import { KernelInstance } from '../../support/instance.ts'

const ROUNDING = 1 / 0x1000000

// Numbers right behind an output, which arithmetic in place would change: guard words are NaN, and most
// arithmetic leaves those as they are.
const SENTINELS = 4
const SENTINEL = 1234.5

type Operand =
  | number
  | { readonly floats: ArrayLike<number> }
  | { readonly ints: ArrayLike<number> }
  /** Written by the kernel; holds zeros before. */
  | { readonly out: number }
  | { readonly outInts: number }

// biome-ignore lint/suspicious/noExplicitAny: loops of every signature
type Loops = Record<string, (...operands: any[]) => void>

const loops: Loops = {
  ...amaxReference,
  ...cumsumReference,
  ...gatherReference,
  ...indexSelectReference,
  ...linearReference,
  ...logSoftmaxReference,
  ...logsumexpReference,
  ...prodReference,
  ...softmaxReference,
  ...strided.reference,
  ...sumReference,
  ...sumSquaresReference,
}

const random = new Random(11, 'reduction kernels')
const draws = (count: number): Float32Array =>
  Float32Array.from({ length: count }, () => random.uniform() * 4 - 2)
const picks = (count: number, size: number): Int32Array =>
  Int32Array.from({ length: count }, () => random.uint32() % size)

function referenceOperand(operand: Operand): unknown {
  if (typeof operand === 'number') {
    return operand
  }
  if ('floats' in operand) {
    return Float64Array.from(operand.floats)
  }
  if ('ints' in operand) {
    return Int32Array.from(operand.ints)
  }
  return 'out' in operand ? new Float64Array(operand.out) : new Int32Array(operand.outInts)
}

function wasmOperand(memory: Guarded, operand: Operand): number {
  if (typeof operand === 'number') {
    return operand
  }
  if ('floats' in operand) {
    return memory.floats(operand.floats)
  }
  if ('ints' in operand) {
    return memory.ints(operand.ints)
  }
  const count = 'out' in operand ? operand.out : operand.outInts
  return memory.floats(new Float32Array(count + SENTINELS).fill(SENTINEL, count))
}

// A memory serves many calls: making one takes longer than most of them.
const CALLS_PER_MEMORY = 100
const memories = new Map<Binary, { memory: Guarded; calls: number }>()

function memoryOf(binary: Binary): Guarded {
  const before = memories.get(binary)
  const found =
    before && before.calls < CALLS_PER_MEMORY
      ? before
      : { memory: new Guarded(binary.module()), calls: 0 }
  memories.set(binary, found)
  found.calls++
  return found.memory
}

/** Runs a kernel and its loops: every output within relative·|want| + terms. */
function check(kernel: string, operands: readonly Operand[], relative: number, terms = 0): void {
  const memory = memoryOf(familyOf(kernel))
  const wanted = operands.map(referenceOperand)
  loops[kernel](...wanted)
  const given = operands.map(operand => wasmOperand(memory, operand))
  memory.kernels[kernel](...given)
  operands.forEach((operand, i) => {
    if (typeof operand === 'number' || 'floats' in operand || 'ints' in operand) {
      return
    }
    const want = wanted[i] as Float64Array | Int32Array
    const read = memory.read(given[i], want.length)
    const behind = memory.read(given[i] + want.length * 4, SENTINELS)
    expect([...behind], `${kernel}: behind the output`).toEqual(new Array(SENTINELS).fill(SENTINEL))
    const got = 'out' in operand ? read : new Int32Array(read.buffer)
    got.forEach((value, at) => {
      const limit = relative * Math.abs(want[at]) + terms
      expect(Math.abs(value - want[at]), `${kernel}: element ${at}`).toBeLessThanOrEqual(limit)
    })
  })
  expect(memory.damage(), `${kernel}: guard words overwritten`).toBe(0)
}

const families = [core, indexing, reductions].map(binary => ({
  binary,
  kernels: new KernelInstance(binary.module()).kernels,
}))

function familyOf(kernel: string): Binary {
  return families.filter(({ kernels }) => kernel in kernels)[0].binary
}
const COLS = [1, 2, 3, 4, 5, 7, 8, 9, 11, 12, 15, 16, 17, 31, 33]
const INNER = [1, 2, 3, 4, 5, 15, 16, 17, 19, 20, 21, 35]
const rows = 3

describe('sum', () => {
  it.each(INNER)('of columns, %i wide', inner => {
    for (const count of [0, 1, 2, 3, 9]) {
      const x = { floats: draws(2 * count * inner) }
      check('sum', [x, { out: 2 * inner }, 2, count, inner, 3], ROUNDING, 1e-14)
      check(
        'sum_rows',
        [{ floats: draws(count * inner) }, { out: inner }, count, inner],
        ROUNDING,
        1e-14,
      )
    }
  })

  it.each([0, ...COLS])('of rows, %i long', cols => {
    check('sum', [{ floats: draws(rows * cols) }, { out: rows }, rows, cols, 1, 1], ROUNDING, 1e-13)
  })

  it('is as exact for four million elements as for four', () => {
    const count = 1 << 22
    const instance = new KernelInstance(core.module(), 32)
    const x = instance.reserve(count * 4)
    const y = instance.reserve(4)
    const elements = instance.f32(x, count)
    let exact = 0
    for (let i = 0; i < count; i++) {
      elements[i] = random.uniform() + 0.1
      exact += elements[i]
    }
    instance.kernels.sum(x, y, 1, count, 1, count)
    expect(Math.abs(instance.f32(y, 1)[0] / (exact / count) - 1)).toBeLessThanOrEqual(
      ROUNDING + count * 2 ** -53,
    )
  })
})

describe('rows', () => {
  // The shift x − m, at most 4 here, is rounded once: 4 roundings of e^(x − m). Then e^x (1 unit,
  // 2 roundings), the sum and the quotient.
  const exponential = 8 * ROUNDING

  it.each(COLS)('softmax and its relatives, %i long', cols => {
    const x = { floats: draws(rows * cols) }
    const dy = { floats: draws(rows * cols) }
    const up = { floats: draws(rows) }
    const out = { out: rows * cols }
    check('softmax', [x, out, rows, cols], exponential)
    check('softmax_backward', [x, dy, out, rows, cols], ROUNDING, 4 * cols * 8 * ROUNDING)
    check('log_softmax', [x, out, rows, cols], ROUNDING, 8 * 6 * ROUNDING)
    check('log_softmax_backward', [x, dy, out, rows, cols], 4 * ROUNDING, 60 * cols * ROUNDING)
    check('logsumexp', [x, { out: rows }, rows, cols], 0, 8 * 6 * ROUNDING)
    check('logsumexp_backward', [x, up, out, rows, cols], exponential)
  })

  it.each(COLS)('a large element counts wherever it stands, %i long', cols => {
    for (let at = 0; at < cols; at++) {
      const x = { floats: new Float32Array(cols).with(at, 200) }
      // e^-200 is no float32.
      check('softmax', [x, { out: cols }, 1, cols], exponential, 2 ** -126)
      check('logsumexp', [x, { out: 1 }, 1, cols], ROUNDING)
      check('log_softmax', [x, { out: cols }, 1, cols], ROUNDING)
    }
  })

  it.each([0, ...COLS])('squares, products and running sums, %i long', cols => {
    const x = { floats: draws(rows * cols) }
    const y = { floats: [1.5, 0, 2.5] }
    const dy = { floats: draws(rows) }
    const out = { out: rows * cols }
    for (const [centered, root] of [
      [0, 0],
      [0, 1],
      [1, 0],
      [1, 1],
    ]) {
      if (cols > 0) {
        check('sum_squares', [x, { out: rows }, rows, cols, 7, centered, root], ROUNDING, 1e-14)
      }
      check('sum_squares_backward', [x, y, dy, out, rows, cols, 7, centered, root], ROUNDING, 1e-14)
    }
    check('prod', [x, { out: rows }, rows, cols], ROUNDING)
    check('prod_backward', [x, dy, out, rows, cols], 2 * ROUNDING)
    check('cumsum', [x, out, rows, cols, 0], ROUNDING, 1e-14)
    check('cumsum', [x, out, rows, cols, 1], ROUNDING, 1e-14)
  })

  it.each(COLS)('largest and smallest, %i long', cols => {
    // Whole numbers, so that there are equals.
    const x = { floats: Float32Array.from({ length: rows * cols }, () => random.uint32() % 5) }
    check('argmax', [x, { outInts: rows }, rows, cols, 1], 0)
    check('argmax', [x, { outInts: rows }, rows, cols, -1], 0)
    const y = { floats: [4, 3, 2] }
    const dy = { floats: draws(rows) }
    check('amax_backward', [x, y, dy, { out: rows * cols }, rows, cols], ROUNDING)
  })

  it.each(COLS)('argmax finds NaN and copes with infinities, %i long', cols => {
    const { NaN: nan, NEGATIVE_INFINITY: low, POSITIVE_INFINITY: high } = Number
    for (const value of [nan, low, high]) {
      for (const others of [low, 0]) {
        const row = new Float32Array(cols).fill(others)
        row[cols >> 1] = value
        row[cols - 1] = value
        check('argmax', [{ floats: row }, { outInts: 1 }, 1, cols, 1], 0)
        check('argmax', [{ floats: row }, { outInts: 1 }, 1, cols, -1], 0)
      }
    }
  })

  it.each(COLS)('of −Infinity, %i long', cols => {
    const low = new Float32Array(cols).fill(Number.NEGATIVE_INFINITY)
    const memory = new Guarded(reductions.module())
    const [x, y, dy, dx] = [
      memory.floats(low),
      memory.room(1),
      memory.floats([2]),
      memory.room(cols),
    ]
    memory.kernels.logsumexp(x, y, 1, cols)
    expect(memory.read(y, 1)[0]).toBe(Number.NEGATIVE_INFINITY)
    memory.kernels.logsumexp_backward(x, dy, dx, 1, cols)
    expect([...memory.read(dx, cols)]).toEqual(new Array(cols).fill(0))
    memory.kernels.softmax(x, dx, 1, cols)
    expect([...memory.read(dx, cols)]).toEqual(new Array(cols).fill(Number.NaN))
  })

  it('a row alone has the bits that it has in a batch', () => {
    const cols = 37
    const x = draws(rows * cols)
    const memory = new Guarded(reductions.module())
    const { kernels } = memory
    const all = memory.room(rows * cols)
    kernels.softmax(memory.floats(x), all, rows, cols)
    const batch = memory.read(all, rows * cols)
    for (let r = 0; r < rows; r++) {
      const y = memory.room(cols)
      kernels.softmax(memory.floats(x.subarray(r * cols, (r + 1) * cols)), y, 1, cols)
      expect(memory.read(y, cols)).toEqual(batch.subarray(r * cols, (r + 1) * cols))
    }
  })
})

describe('moving elements', () => {
  it.each(INNER)('by an index, %i wide', inner => {
    const [outer, size, count] = [2, 5, 7]
    const x = { floats: draws(outer * size * inner) }
    const src = { floats: draws(outer * count * inner) }
    const every = { ints: picks(outer * count * inner, size) }
    const one = { ints: picks(count, size) }
    const sizes = [outer, size, count, inner]
    check('gather', [x, every, { out: outer * count * inner }, ...sizes], 0)
    check('index_select', [x, one, { out: outer * count * inner }, ...sizes], 0)
    // Up to `count` terms of at most 2 meet in one place, each addition rounded.
    const terms = count * 2 * count * ROUNDING
    check('scatter_add', [src, every, { out: outer * size * inner }, ...sizes], 0, terms)
    check('index_add', [src, one, { out: outer * size * inner }, ...sizes], 0, terms)
    check('fill_rows', [{ floats: draws(inner) }, { out: rows * inner }, rows, inner], 0)
  })

  it.each(COLS)('by strides, %i long', n => {
    for (const m of [1, 2, 4, 5, 8, 9, 13]) {
      const x = { floats: draws(2 * m * n) }
      const out = { out: 2 * m * n }
      const sizes = [1, 2, m, n]
      const rowMajor = [0, m * n, n, 1]
      check('copy_strided', [x, 0, ...rowMajor, out, 0, ...rowMajor, ...sizes], 0)
      check('copy_strided', [x, 0, 0, m * n, 1, m, out, 0, ...rowMajor, ...sizes], 0)
      check('copy_strided', [x, 0, 0, m * n, 1, 0, out, 0, ...rowMajor, ...sizes], 0)
      check('copy_strided', [x, 0, 0, 1, 0, 2, out, 0, ...rowMajor, ...sizes], 0)
      check('copy_strided', [x, n - 1, 0, 0, n, 0, out, m * n, ...rowMajor, 1, 1, m, n], 0)
      check('copy_strided', [x, 0, 0, m * n, 2, 1, out, 1, 0, m * n, 1, 1, 1, 2, 1, n - 1], 0)
    }
  })
})
