// A batch whose rows go through different adapters, one adapter after the other: for those that cannot
// share a product. Rows of one adapter stay together; afterwards every row is put back into its place.

import { type Tensor, tensor } from '../core/tensor.ts'
import { taken } from '../nn/parts.ts'
import { cat } from '../ops/cat.ts'
import { indexSelect } from '../ops/index_select.ts'

/** Runs `forward` once for each name, with the rows of x that have it. */
export type SplitRows = (
  x: Tensor,
  names: readonly string[],
  forward: (x: Tensor, name: string) => Tensor,
) => Tensor

export const splitRows: SplitRows = (x, names, forward) => {
  const groups = [...new Set(names)].map(name => ({
    name,
    rows: names.flatMap((other, row) => (other === name ? [row] : [])),
  }))
  const parts = groups.map(({ name, rows }) => forward(taken(x, rows), name))
  const order = groups.flatMap(({ rows }) => rows)
  const places = names.map((_, row) => order.indexOf(row))
  const index = tensor(places, [places.length], { dtype: 'int32', backend: x.backend })
  return indexSelect(cat(parts), 0, index)
}
