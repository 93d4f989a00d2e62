// Slices of the middle axis picked by one index for all, and added back in index order.

import { accumulate } from '../core/basics'

/** y [outer, count, inner] = x [outer, size, inner] at index [count] of the middle axis. */
export function index_select(
  x: usize,
  index: usize,
  y: usize,
  outer: i32,
  size: i32,
  count: i32,
  inner: i32,
): void {
  const row = (<usize>inner) << 2
  for (let o = 0; o < outer; o++) {
    for (let k = 0; k < count; k++) {
      memory.copy(y, x + <usize>load<i32>(index + ((<usize>k) << 2)) * row, row)
      y += row
    }
    x += <usize>size * row
  }
}

/** y [outer, size, inner] += x [outer, count, inner] at index [count]. */
export function index_add(
  x: usize,
  index: usize,
  y: usize,
  outer: i32,
  size: i32,
  count: i32,
  inner: i32,
): void {
  const row = (<usize>inner) << 2
  for (let o = 0; o < outer; o++) {
    for (let k = 0; k < count; k++) {
      accumulate(x, y + <usize>load<i32>(index + ((<usize>k) << 2)) * row, inner)
      x += row
    }
    y += <usize>size * row
  }
}
