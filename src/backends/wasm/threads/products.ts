// How products are cut: rows or columns of C [M, N]. Each element of C is one accumulator, so the bits are
// those of the whole. A part packs for itself what it reads of the operand that all parts share: B [K, N] if
// rows are cut, A [M, K] if columns are; the smaller one is read by all.

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

/** `aStep`: from a row of C to the next, in a. `bStep`: from a column to the next, in b. */
function product(aStep: Step, bStep: Step, inPlace: InPlace): Rule {
  return operands => {
    if (operands[M] * operands[N] * operands[K] < LEAST_PRODUCT) {
      return undefined
    }
    const wide = operands[N] > operands[M]
    return wide && (operands[M] < FEW_ROWS || !inPlace(operands))
      ? byColumns(operands, bStep(operands))
      : byRows(operands, aStep(operands))
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
