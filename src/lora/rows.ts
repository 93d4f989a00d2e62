// A batch whose rows go through different adapters, one adapter after the other: for those that cannot
// share a product. Rows of one adapter stay together; afterwards every row is put back into its place.

import { type Tensor, tensor } from '../core/tensor.ts'
import { taken } from '../nn/parts.ts'
import { cat } from '../ops/cat.ts'
import { indexSelect } from '../ops/index_select.ts'
import { checkCount } from './module.ts'

/** Runs `forward` once for each name, with the rows of x that have it. */
export type SplitRows = (
  x: Tensor,
  names: readonly string[],
  forward: (x: Tensor, name: string) => Tensor,
) => Tensor

interface Group {
  readonly name: string
  readonly rows: readonly number[]
}

export const splitRows: SplitRows = (x, names, forward) => {
  checkCount(x, names)
  return joined(names, ({ name, rows }) => forward(taken(x, rows), name))
}

/**
 * Runs `forward` once for each name with the whole batch and keeps the rows that have it: for modules
 * that take more than x, which cannot be divided from outside.
 */
export function pickRows(names: readonly string[], forward: (name: string) => Tensor): Tensor {
  return joined(names, ({ name, rows }) => taken(forward(name), rows))
}

/** The rows of all groups in the order of the batch. */
function joined(names: readonly string[], rowsOf: (group: Group) => Tensor): Tensor {
  const groups = [...new Set(names)].map(name => ({
    name,
    rows: names.flatMap((other, row) => (other === name ? [row] : [])),
  }))
  const parts = groups.map(rowsOf)
  const order = groups.flatMap(({ rows }) => rows)
  const places = names.map((_, row) => order.indexOf(row))
  const index = tensor(places, [places.length], { dtype: 'int32', backend: parts[0].backend })
  return indexSelect(cat(parts), 0, index)
}
