// How products are cut: rows or columns of C [M, N]. Each element of C is one accumulator, so the bits are
// those of the whole. A part packs for itself what it reads of the operand that all parts share, B [K, N] if
// rows are cut, A [M, K] if columns are; what makes a thread pack and read less is done.

import { PANELS } from '../../../core/dtype.ts'
import { LEAST_PRODUCT, type Rule, type Split } from './split.ts'

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
const SCRATCH = 15

/** Rows of the register tile. */
const TILE_ROWS = 4
/** Columns of a panel. */
const PANEL = 8
/** Below this many rows, parts of them would read B more often than caches are fast. */
const FEW_ROWS = 64
/** Elements of B that stay in the second cache level. */
const CACHED = 262_144

// Blocks that the kernels compute at a time, as assembly/core/job.ts has them.
const ROWS = 320
const COLUMNS = 256
const DEPTH = 256

type Step = (operands: readonly number[]) => number

/** Whether B is read where it lies, and packed by nobody. */
type InPlace = (operands: readonly number[]) => boolean

function byRows(operands: readonly number[], aStep: number): Split {
  const moves = [[A_OFFSET, aStep] as const, [C_OFFSET, operands[C_STRIDE]] as const]
  return { count: M, units: operands[M], grain: TILE_ROWS, moves, scratch: SCRATCH }
}

function byColumns(operands: readonly number[], bStep: number): Split {
  const moves = [[B_OFFSET, bStep] as const, [C_OFFSET, 1] as const]
  const grain = operands[M] < TILE_ROWS ? 4 * PANEL : 2 * PANEL
  return { count: N, units: operands[N], grain, moves, scratch: SCRATCH }
}

const blocks = (count: number, size: number): number => Math.ceil(count / size)

/**
 * Whether one of two threads, with a large and a small part each, packs and reads less if columns are cut. B is
 * packed for each block of rows, A for each block of columns unless K is one block. All in elements / K.
 */
function columnsAreCheaper(M: number, N: number, K: number, inPlace: boolean): boolean {
  const b = (inPlace ? 0 : 1) + (K * N > CACHED ? 1 : 0)
  const deep = K > DEPTH
  const ofRows = N * b * (1 + blocks(M / 2, ROWS)) + (M / 2) * (deep ? blocks(N, COLUMNS) : 1)
  const ofColumns = M * (1 + (deep ? blocks(N / 2, COLUMNS) : 1)) + (N / 2) * b * blocks(M, ROWS)
  return ofColumns < ofRows
}

/** `aStep`: from a row of C to the next, in a. `bStep`: from a column to the next, in b. */
function product(aStep: Step, bStep: Step, inPlace: InPlace): Rule {
  return operands => {
    const [m, n, k] = [operands[M], operands[N], operands[K]]
    if (m * n * k < LEAST_PRODUCT) {
      return undefined
    }
    const wide = m < FEW_ROWS ? n > m : columnsAreCheaper(m, n, k, inPlace(operands))
    return wide ? byColumns(operands, bStep(operands)) : byRows(operands, aStep(operands))
  }
}

const aRows: Step = operands => operands[A_STRIDE]
// In panels the eight elements of a column lie side by side.
const bColumns: Step = operands => (operands[B_FORMAT] >= PANELS ? PANEL : 1)
const never: InPlace = () => false

export const matmulNN: Rule = product(aRows, bColumns, never)

export const matmulNT: Rule = product(
  aRows,
  operands => operands[B_STRIDE],
  operands => operands[B_FORMAT] === PANELS,
)

export const matmulTN: Rule = product(() => 1, bColumns, never)
