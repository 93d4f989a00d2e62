// How the work of a kernel is cut into rows that threads compute apart. A kernel is told where its
// operands begin and how many rows there are; a part of the rows is the same call with operands that
// begin later. Each element of a product is one accumulator, so the bits are those of the whole.

import { PANELS } from '../../../core/dtype.ts'

/** A call whose `count`-th operand is a number of units, of which any range can be computed apart. */
export interface Split {
  readonly count: number
  readonly units: number
  /** Chunks are multiples of this many units. */
  readonly grain: number
  /** What is added to an operand for each unit that is left out before. */
  readonly moves: readonly (readonly [operand: number, step: number])[]
  /** Which operand is scratch, of which every thread has its own; −1 if none. */
  readonly scratch: number
}

type Rule = (operands: readonly number[]) => Split | undefined

/** Multiplications below which handing out takes longer than it saves: about 25 µs of work. */
const LEAST_PRODUCT = 500_000
/** Elements, likewise, for kernels that go over rows once. */
const LEAST_ELEMENTS = 16_384

// Operands of the products, in the order of src/ops/matmul.ts.
const A_OFFSET = 1
const A_STRIDE = 2
const B_OFFSET = 4
const B_STRIDE = 5
const B_FORMAT = 6
const C_OFFSET = 8
const C_STRIDE = 9
const M = 10
const N = 11
const K = 12
const PRODUCT_SCRATCH = 15

/** Rows of the register tile; columns of a panel. */
const TILE_ROWS = 5
const PANEL = 8

/** Rows of C. */
function byRows(operands: readonly number[], aStep: number): Split {
  const moves = [[A_OFFSET, aStep] as const, [C_OFFSET, operands[C_STRIDE]] as const]
  return { count: M, units: operands[M], grain: TILE_ROWS, moves, scratch: PRODUCT_SCRATCH }
}

/** Columns of C, for products with few rows. */
function byColumns(operands: readonly number[], bStep: number): Split {
  const moves = [[B_OFFSET, bStep] as const, [C_OFFSET, 1] as const]
  return { count: N, units: operands[N], grain: 2 * PANEL, moves, scratch: PRODUCT_SCRATCH }
}

/** `aStep`: from a row of C to the next, in a. `bStep`: from a column to the next, in b, if it is even. */
function product(
  aStep: (operands: readonly number[]) => number,
  bStep: (operands: readonly number[]) => number,
): Rule {
  return operands => {
    if (operands[M] * operands[N] * operands[K] < LEAST_PRODUCT) {
      return undefined
    }
    const step = bStep(operands)
    const wide = operands[N] > operands[M] && step > 0
    return wide ? byColumns(operands, step) : byRows(operands, aStep(operands))
  }
}

/** Panels lie column by column, eight rows wide: they cannot begin in between. */
const unlessPanels = (operands: readonly number[]): number => (operands[B_FORMAT] >= PANELS ? 0 : 1)

/** Kernels that go over [rows, cols] row by row. `steps`: per operand, in bytes for a row of cols. */
function rowwise(
  rows: number,
  cols: number,
  moves: (cols: number, operands: readonly number[]) => Split['moves'],
): Rule {
  return operands => {
    const width = operands[cols]
    if (operands[rows] * width < LEAST_ELEMENTS) {
      return undefined
    }
    const grain = Math.max(1, Math.ceil(1024 / width))
    return { count: rows, units: operands[rows], grain, moves: moves(width, operands), scratch: -1 }
  }
}

/** Where the operands of an attention kernel are, in the order of src/ops/attention.ts. */
interface AttentionPlaces {
  /** Offsets, with batch and head strides after them: those of queries, then of keys and values. */
  readonly queries: readonly number[]
  readonly keys: readonly number[]
  /** The mask, with kind, batch and head strides after it. */
  readonly mask: number
  readonly lse: number
  /** B, with H, the group, Tq, Tk, D, Dv after it. */
  readonly sizes: number
  readonly scratch: number
}

/** Entries of the batch, or where there is only one, groups of heads that share keys. */
function attention(places: AttentionPlaces): Rule {
  const { queries, keys, mask, lse, sizes, scratch } = places
  return operands => {
    const [B, H, group, Tq, Tk, D, Dv] = operands.slice(sizes)
    // Gradients of keys that entries share are sums over all of them.
    const shared = keys.some(at => operands[at + 1] === 0 || operands[at + 2] === 0)
    if (shared || B * H * Tq * Tk * (D + Dv) < LEAST_PRODUCT) {
      return undefined
    }
    const byBatch = B > 1
    const stride = byBatch ? 1 : 2
    const moves = [
      ...queries.map(at => [at, operands[at + stride]] as const),
      ...keys.map(at => [at, operands[at + stride] / (byBatch ? 1 : group)] as const),
      [mask, 4 * operands[mask + 1 + stride]] as const,
      [lse, 4 * Tq * (byBatch ? H : 1)] as const,
    ]
    const [count, grain] = byBatch ? [sizes, 1] : [sizes + 1, group]
    return { count, units: operands[count], grain, moves, scratch }
  }
}

const attentionForward = attention({
  queries: [1, 22],
  keys: [6, 11],
  mask: 15,
  lse: 26,
  sizes: 27,
  scratch: 39,
})

const attentionBackward = attention({
  queries: [1, 6],
  keys: [11, 16],
  mask: 20,
  lse: 26,
  sizes: 35,
  scratch: 47,
})

/** The gradient of a mask is a sum over entries that share it. */
const NEEDS_MASK = 34

/** Bytes of what cross-entropy keeps per row: a shift and a sum. */
const NORMALIZERS = 8

/**
 * Elementwise kernels over [rows, cols] whose operands have row strides: by rows, or where all is one
 * row, by columns. An offset is followed by its stride; pointers are to contiguous rows.
 */
function gated(
  rows: number,
  { pointers, offsets }: { pointers: readonly number[]; offsets: readonly number[] },
): Rule {
  const moves = (step: number, offsetStep: (at: number) => number): Split['moves'] => [
    ...pointers.map(at => [at, 4 * step] as const),
    ...offsets.map(at => [at, offsetStep(at)] as const),
  ]
  const byRow = rowwise(rows, rows + 1, (cols, operands) => moves(cols, at => operands[at + 1]))
  return operands => {
    const cols = operands[rows + 1]
    if (operands[rows] !== 1 || cols < LEAST_ELEMENTS) {
      return byRow(operands)
    }
    const split = { count: rows + 1, units: cols, grain: 1024, scratch: -1 }
    return { ...split, moves: moves(1, () => 1) }
  }
}

/** Kernels (x, y, n) that treat each element alone. */
const elementwise: Rule = operands => {
  const moves = [[0, 4] as const, [1, 4] as const]
  return operands[2] < LEAST_ELEMENTS * 4
    ? undefined
    : { count: 2, units: operands[2], grain: 1024, moves, scratch: -1 }
}

/** Kernels that can be split, and how. */
export const SPLITS: Readonly<Record<string, Rule>> = {
  matmul_nn: product(operands => operands[A_STRIDE], unlessPanels),
  matmul_nt: product(
    operands => operands[A_STRIDE],
    operands => operands[B_STRIDE],
  ),
  matmul_tn: product(() => 1, unlessPanels),
  attention: attentionForward,
  attention_backward: operands => (operands[NEEDS_MASK] ? undefined : attentionBackward(operands)),
  cross_entropy: rowwise(7, 8, cols => [
    [0, 4 * cols],
    [1, 4],
    [4, 4],
    [5, 4],
    [6, NORMALIZERS],
  ]),
  cross_entropy_backward: rowwise(9, 10, (cols, operands) => [
    [0, 4 * cols],
    [1, 4],
    [4, NORMALIZERS],
    [5, 4 * operands[6]],
    [8, 4 * cols],
  ]),
  rms_norm: rowwise(5, 6, cols => [
    [0, 4 * cols],
    [3, 4 * cols],
    [4, 4],
  ]),
  rms_norm_dx: rowwise(6, 7, cols => [
    [0, 4 * cols],
    [1, 4 * cols],
    [4, 4],
    [5, 4 * cols],
  ]),
  swiglu: gated(7, { pointers: [6], offsets: [1, 4] }),
  // Its gradients begin where gate and up do.
  swiglu_backward: gated(9, { pointers: [6], offsets: [1, 4] }),
  accumulate: elementwise,
}
