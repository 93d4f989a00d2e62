// A layer with low-rank updates as a sum: y = base(x) + Σ through(x, update), where an update may be for
// some entries of the first axis of x only. The entries of one update go through it together; their
// results are laid out in one table, from which every entry of y takes its own.

import { countOf } from '../core/shape.ts'
import { type Tensor, tensor } from '../core/tensor.ts'
import { add } from '../ops/add.ts'
import { cat } from '../ops/cat.ts'
import { dropoutOp } from '../ops/dropout.ts'
import { indexSelect } from '../ops/index_select.ts'
import type { LowRank, RowRange } from '../ops/lora_linear.ts'

type Through = (x: Tensor, update: LowRank) => Tensor

function entriesOf(ranges: readonly RowRange[]): number[] {
  return ranges.flatMap(([start, end]) => Array.from({ length: end - start }, (_, i) => start + i))
}

/** The given entries of the first axis of x. */
export function taken(x: Tensor, entries: readonly number[]): Tensor {
  if (x.dtype === 'int32') {
    return integersTaken(x, entries)
  }
  const index = tensor(entries, [entries.length], { dtype: 'int32', backend: x.backend })
  return indexSelect(x, 0, index)
}

/** Token numbers, which the kernels for floats do not take. */
function integersTaken(x: Tensor, entries: readonly number[]): Tensor {
  const [, ...rest] = x.shape
  const size = countOf(rest)
  const data = x.dataSync()
  const rows = entries.flatMap(entry => [...data.subarray(entry * size, (entry + 1) * size)])
  return tensor(rows, [entries.length, ...rest], { dtype: 'int32', backend: x.backend })
}

/** For each entry of the batch, the rows of the table that it adds up. */
function rowsOfTable(batch: number, entries: readonly (readonly number[])[]): number[][] {
  const rows: number[][] = Array.from({ length: batch }, () => [])
  for (const [row, entry] of entries.flat().entries()) {
    rows[entry].push(row)
  }
  return rows
}

/** The sum of the updates' results, each for its own entries of x; undefined if there is none. */
function partialTerms(
  x: Tensor,
  updates: readonly LowRank[],
  through: Through,
): Tensor | undefined {
  const entries = updates.map(({ rows }) => entriesOf(rows ?? [[0, x.shape[0]]]))
  const used = updates.flatMap((update, i) => (entries[i].length > 0 ? [{ update, i }] : []))
  if (used.length === 0) {
    return undefined
  }
  const terms = used.map(({ update, i }) => through(taken(x, entries[i]), update))
  const shape = [1, ...terms[0].shape.slice(1)]
  const size = terms[0].size / terms[0].shape[0]
  const nothing = tensor(new Float32Array(size), shape, { backend: terms[0].backend })
  const table = cat([...terms, nothing])
  const rows = rowsOfTable(x.shape[0], entries)
  const most = Math.max(...rows.map(own => own.length))
  const empty = table.shape[0] - 1
  const layers = Array.from({ length: most }, (_, k) =>
    taken(
      table,
      rows.map(own => own[k] ?? empty),
    ),
  )
  return layers.reduce(add)
}

/** base(x), where there is a base, plus what each update adds; x is dropped out as the update says. */
export function updatedInParts(
  x: Tensor,
  updates: readonly LowRank[],
  base: Tensor | undefined,
  through: Through,
): Tensor {
  const dropped: Through = (x, update) =>
    through(update.dropout ? dropoutOp([x], update.dropout) : x, update)
  const whole = updates.filter(({ rows }) => rows === undefined)
  const partial = partialTerms(
    x,
    updates.filter(({ rows }) => rows !== undefined),
    dropped,
  )
  const terms = [base, ...whole.map(update => dropped(x, update)), partial]
  return terms.filter(term => term !== undefined).reduce(add)
}
