// The kernels of elementwise ops and losses against the loops that define them, between guard words, at
// lengths around a vector: all of an output is written, nothing outside of it, and an element has the
// same bits wherever it lies. Operands are drawn away from poles, so that two units in the last place
// (2⁻²²) of each function, a few of them in a formula, bound the error.

import { describe, expect, it } from 'vitest'
import { binary as arithmetic } from '../../../src/backends/wasm/binaries/arithmetic.ts'
import { binary as core } from '../../../src/backends/wasm/binaries/core.ts'
import { binary as elementwise } from '../../../src/backends/wasm/binaries/elementwise.ts'
import { binary as losses } from '../../../src/backends/wasm/binaries/losses.ts'
import { binary as transformer } from '../../../src/backends/wasm/binaries/transformer.ts'
import type { Binary } from '../../../src/core/backend.ts'
import { Random } from '../../../src/core/rng.ts'
import { absOp } from '../../../src/ops/abs.ts'
import { addOp } from '../../../src/ops/add.ts'
import { binaryCrossEntropyWithLogitsOp } from '../../../src/ops/binary_cross_entropy_with_logits.ts'
import type { BroadcastKernel } from '../../../src/ops/broadcast.ts'
import { crossEntropyReference } from '../../../src/ops/cross_entropy.ts'
import { divOp } from '../../../src/ops/div.ts'
import { erfOp } from '../../../src/ops/erf.ts'
import { expOp } from '../../../src/ops/exp.ts'
import { geluOp, geluTanhOp } from '../../../src/ops/gelu.ts'
import { klDivLogOp, klDivOp } from '../../../src/ops/kl_div.ts'
import { logOp } from '../../../src/ops/log.ts'
import { maximumOp } from '../../../src/ops/maximum.ts'
import { minimumOp } from '../../../src/ops/minimum.ts'
import { mseLossOp } from '../../../src/ops/mse_loss.ts'
import { mulOp } from '../../../src/ops/mul.ts'
import { negOp } from '../../../src/ops/neg.ts'
import { powOp } from '../../../src/ops/pow.ts'
import { reluOp } from '../../../src/ops/relu.ts'
import { rsqrtOp } from '../../../src/ops/rsqrt.ts'
import { sigmoidOp } from '../../../src/ops/sigmoid.ts'
import { siluOp } from '../../../src/ops/silu.ts'
import { sqrtOp } from '../../../src/ops/sqrt.ts'
import { subOp } from '../../../src/ops/sub.ts'
import { tanhOp } from '../../../src/ops/tanh.ts'
import { whereOp } from '../../../src/ops/where.ts'
import { Guarded } from '../../support/guarded.ts'

const TOLERANCE = 8 * 2 ** -22
const LENGTHS = [0, 1, 2, 3, 4, 5, 7, 8, 9, 17]

const random = new Random(7, 'elementwise kernels')

function draws(count: number): Float32Array {
  return Float32Array.from({ length: count }, () => 0.25 + random.uniform())
}

function expectClose(where: string, got: ArrayLike<number>, want: ArrayLike<number>): void {
  for (let i = 0; i < want.length; i++) {
    const limit = TOLERANCE * Math.max(1, Math.abs(want[i]))
    expect(Math.abs(got[i] - want[i]), `${where} [${i}]`).toBeLessThanOrEqual(limit)
  }
}

type Named<K> = readonly (readonly [name: string, loops: K])[]

function named<K>(...sets: readonly object[]): Named<K> {
  return sets.flatMap(set => Object.entries(set)).filter(([name]) => name !== 'sum')
}

const pointwise = named<(...operands: (ArrayLike<number> | number)[]) => void>(
  ...[negOp, absOp, sqrtOp, rsqrtOp, expOp, logOp, tanhOp, sigmoidOp, erfOp, reluOp, siluOp]
    .concat([geluOp, geluTanhOp])
    .map(op => op.definition.reference as object),
)

describe.each(pointwise)('%s', (name, loops) => {
  const arity = loops.length - 2
  const inputs = (n: number): Float32Array[] => Array.from({ length: arity }, () => draws(n))

  it.each(LENGTHS)('of %d elements', n => {
    const guarded = new Guarded(elementwise.module())
    const operands = inputs(n)
    const want = new Float64Array(n)
    loops(...operands, want, n)
    const y = guarded.room(n)
    guarded.kernels[name](...operands.map(x => guarded.floats(x)), y, n)
    expectClose(name, guarded.read(y, n), want)
    expect(guarded.damage()).toBe(0)
  })

  it('gives an element the same bits wherever it lies', () => {
    const guarded = new Guarded(elementwise.module())
    const n = 23
    const operands = inputs(n).map(x => x.map((value, i) => (i % 5 === 0 ? value * 1e30 : value)))
    const y = guarded.room(n)
    guarded.kernels[name](...operands.map(x => guarded.floats(x)), y, n)
    const together = guarded.read(y, n)
    for (let i = 0; i < n; i++) {
      const one = guarded.room(1)
      guarded.kernels[name](...operands.map(x => guarded.floats(x.subarray(i, i + 1))), one, 1)
      expect(guarded.read(one, 1)[0]).toBe(together[i])
    }
  })
})

const families: readonly (readonly [Binary, readonly { definition: { reference: unknown } }[]])[] =
  [
    [arithmetic, [addOp, subOp, mulOp, divOp, maximumOp, minimumOp, whereOp]],
    [elementwise, [powOp]],
    [core, [mseLossOp]],
    [losses, [klDivOp, klDivLogOp, binaryCrossEntropyWithLogitsOp]],
  ]

const broadcasting = families.flatMap(([binary, ops]) =>
  named<BroadcastKernel>(...ops.map(op => op.definition.reference as object)).map(
    ([name, loops]) => [name, { binary, loops }] as const,
  ),
)

describe.each(broadcasting)('%s', (name, { binary, loops }) => {
  const arity = (new Guarded(binary.module()).kernels[name].length - 4) / 4

  /** Operands with a gap before them and between their rows, of one column where `columns` says so. */
  function check(rows: number, cols: number, columns: readonly number[], row: number): void {
    const guarded = new Guarded(binary.module())
    const operands = columns.map((col, k) => {
      const stride = row * (cols + 1 + k)
      const data = draws(k + 1 + rows * Math.max(1, stride) + cols)
      if (name === 'where' && k === 0) {
        new Int32Array(data.buffer).forEach((_, i, bits) => {
          bits[i] = i % 3
        })
      }
      return { data, offset: k + 1, stride, col }
    })
    const offset = 3
    const want = new Float64Array(offset + rows * cols)
    loops(...operands.flatMap(x => [x.data, x.offset, x.stride, x.col]), want, offset, rows, cols)
    const y = guarded.floats(new Float32Array(want.length))
    guarded.kernels[name](
      ...operands.flatMap(x => [guarded.floats(x.data), x.offset, x.stride, x.col]),
      y,
      offset,
      rows,
      cols,
    )
    expectClose(`${name} ${rows} ${cols} ${columns}`, guarded.read(y, want.length), want)
    expect(guarded.damage()).toBe(0)
  }

  it.each(LENGTHS)('of rows of %d elements', cols => {
    check(3, cols, new Array(arity).fill(1), 1)
    check(2, cols, new Array(arity).fill(1), 0)
  })

  it('repeats one element along a row, in any operand', () => {
    for (let pattern = 0; pattern < 1 << arity; pattern++) {
      const columns = Array.from({ length: arity }, (_, k) => (pattern >> k) & 1)
      check(2, 6, columns, 1)
      check(1, 9, columns, 0)
    }
  })
})

describe('cross_entropy', () => {
  it.each([1, 3, 4, 5, 8, 9, 33])('over %d classes', size => {
    const guarded = new Guarded(transformer.module())
    const rows = 3
    const logits = draws(rows * size).map(value => value * 9)
    const target = Int32Array.from([0, -1, size - 1])
    const weight = draws(size)
    const dy = draws(rows)
    const divisor = draws(1)
    const [losses, weights, normalizers] = [rows, rows, 2 * rows].map(n => new Float64Array(n))
    const total = new Float64Array(2)
    const dlogits = new Float64Array(rows * size)
    const reference = crossEntropyReference
    reference.cross_entropy(
      logits,
      target,
      weight,
      1,
      losses,
      weights,
      normalizers,
      rows,
      size,
      -1,
      0.1,
    )
    reference.cross_entropy_reduce(losses, weights, 1, total, total.subarray(1), rows)
    reference.cross_entropy_backward(
      logits,
      target,
      weight,
      1,
      normalizers,
      dy,
      1,
      divisor,
      dlogits,
      rows,
      size,
      -1,
      0.1,
    )
    const x = guarded.floats(logits)
    const t = guarded.ints(target)
    const w = guarded.floats(weight)
    const g = guarded.floats(dy)
    const d = guarded.floats(divisor)
    const [l, o, z, y, by] = [rows, rows, 2 * rows, 1, 1].map(n => guarded.room(n))
    const { kernels } = guarded
    kernels.cross_entropy(x, t, w, 1, l, o, z, rows, size, -1, 0.1)
    kernels.cross_entropy_reduce(l, o, 1, y, by, rows)
    expectClose('losses', guarded.read(l, rows), losses)
    expectClose('weights', guarded.read(o, rows), weights)
    expectClose('mean', guarded.read(y, 1), total.subarray(0, 1))
    expectClose('divisor', guarded.read(by, 1), total.subarray(1))
    // Over the logits themselves, as the op does where it may.
    kernels.cross_entropy_backward(x, t, w, 1, z, g, 1, d, x, rows, size, -1, 0.1)
    expectClose('dlogits', guarded.read(x, rows * size), dlogits)
    expect(guarded.damage()).toBe(0)
  })
})
