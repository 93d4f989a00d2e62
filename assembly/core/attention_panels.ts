// Keys or values [T, D] of one head, rows anywhere in memory, as the panels from which the product
// reads its right operand in one stream, made once for all queries that share the head.

import { pack_columns, pack_rows } from './pack'

/** out [T / 8][D][8], for products with the transpose; rows from `start` (a multiple of 8) to `end`. */
export function pack_rows_panels(x: usize, step: usize, start: i32, end: i32, D: i32, out: usize): void {
  for (let row = start; row < end; row += 8) {
    const to = out + (<usize>(row * D) << 2)
    pack_rows<f32>(x + <usize>row * step, step, 32, min(8, end - row), D, to)
  }
}

/** out [D / 8][T][8], for products with the matrix; rows from `start` to `end` of T. */
export function pack_columns_panels(x: usize, step: usize, start: i32, end: i32, T: i32, D: i32, out: usize): void {
  for (let column = 0; column < D; column += 8) {
    const to = out + (<usize>(column * T + (start << 3)) << 2)
    const from = x + <usize>start * step + (<usize>column << 2)
    pack_columns<f32>(from, step, min(8, D - column), end - start, to)
  }
}
