// How the work of a kernel is cut into parts that threads compute apart. A kernel is told where its
// operands begin and how many units (rows, columns, elements) there are; a part of the units is the same
// call with operands that begin later.

/** A call whose `count`-th operand is a number of units, of which any range can be computed apart. */
export interface Split {
  readonly count: number
  readonly units: number
  /** Parts begin at multiples of this many units. */
  readonly grain: number
  /** What is added to an operand for each unit that is left out before. */
  readonly moves: readonly (readonly [operand: number, step: number])[]
  /** Which operand is scratch, of which every thread has its own; −1 if none. */
  readonly scratch: number
}

/** How to cut a call with these operands; `undefined` where it is too short to hand out. */
export type Rule = (operands: readonly number[]) => Split | undefined

// Work below which handing out takes longer than it saves: about 25 µs of it.
/** Multiplications of products. */
export const LEAST_PRODUCT = 500_000
/** Elements of kernels with an exponential. */
export const HEAVY = 16_384
/** Elements of kernels that are bound by memory. */
export const LIGHT = 65_536

/** Elements of a part begin at multiples of this, so that vectors and cache lines stay whole. */
const ELEMENTS = 1024

/** Bytes of a float. */
const SIZE = 4

/** What part of the work is handed out at first. */
const AT_FIRST = 7 / 8

/**
 * Where the parts begin, and after the last one the number of units. Threads take them from the last to the
 * first: one large part each, since every part packs operands anew, then one small part each, of which who comes
 * late takes none.
 */
export function startsOf({ units, grain }: Split, threads: number): number[] {
  const grains = Math.ceil(units / grain)
  const large = Math.floor((AT_FIRST * grains) / threads)
  const rest = grains - threads * large
  const small = Math.min(threads, rest)
  const starts: number[] = []
  for (let i = 0; i < small; i++) {
    starts.push(Math.floor((i * rest) / small) * grain)
  }
  for (let i = 0; i < threads && large > 0; i++) {
    starts.push((rest + i * large) * grain)
  }
  return [...starts, units]
}

/** The operands of the same call for units `start` … `end − 1`. */
export function partOf(
  operands: readonly number[],
  split: Split,
  start: number,
  end: number,
): number[] {
  const part = [...operands]
  part[split.count] = end - start
  for (const [operand, step] of split.moves) {
    part[operand] += start * step
  }
  return part
}

/** Kernels over n contiguous elements; `n` and `pointers` are places of operands. */
export function elementwise(n: number, pointers: readonly number[], least: number): Rule {
  const moves = pointers.map(at => [at, SIZE] as const)
  return operands => {
    const units = operands[n]
    return units < least ? undefined : { count: n, units, grain: ELEMENTS, moves, scratch: -1 }
  }
}

/** What moves from row to row of a kernel over [rows, cols]; all but `offsets` are pointers. */
interface Rows {
  /** Where the number of rows is; that of columns follows. */
  readonly rows: number
  /** Matrices [rows, cols]. */
  readonly matrices?: readonly number[]
  /** Vectors [rows] of 4 bytes each. */
  readonly vectors?: readonly number[]
  /** Further steps, in bytes or elements. */
  readonly others?: (operands: readonly number[]) => Split['moves']
}

/** Kernels that go over [rows, cols] row by row. */
export function rowwise({ rows, matrices = [], vectors = [], others }: Rows, least: number): Rule {
  return operands => {
    const [units, cols] = [operands[rows], operands[rows + 1]]
    if (units * cols < least) {
      return undefined
    }
    const moves = [
      ...matrices.map(at => [at, SIZE * cols] as const),
      ...vectors.map(at => [at, SIZE] as const),
      ...(others?.(operands) ?? []),
    ]
    const grain = Math.max(1, Math.ceil(ELEMENTS / cols))
    return { count: rows, units, grain, moves, scratch: -1 }
  }
}

/**
 * Kernels of broadcast.ts in src/ops, of `arity` operands: by rows, or where all is one row, by columns.
 */
export function broadcasting(arity: number, least: number): Rule {
  const offsets = Array.from({ length: arity }, (_, i) => 4 * i + 1)
  const [yOffset, rows, cols] = [4 * arity + 1, 4 * arity + 2, 4 * arity + 3]
  return operands => {
    if (operands[rows] * operands[cols] < least) {
      return undefined
    }
    const byColumns = operands[rows] === 1
    const stride = byColumns ? 2 : 1
    const moves = [
      ...offsets.map(at => [at, operands[at + stride]] as const),
      [yOffset, byColumns ? 1 : operands[cols]] as const,
    ]
    const count = byColumns ? cols : rows
    const grain = byColumns ? ELEMENTS : Math.max(1, Math.ceil(ELEMENTS / operands[cols]))
    return { count, units: operands[count], grain, moves, scratch: -1 }
  }
}
