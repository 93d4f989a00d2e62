// The loops of kernels whose operands broadcast, compiled once per formula F (see pointwise.ts):
//   y[r, c] = F(a[r·aRow + c·aCol], b[r·bRow + c·bCol], …)   for r < rows, c < cols
// y is contiguous from yOffset on. Row strides are any, column strides 1, or 0 where one element
// serves the whole row. Offsets and strides count elements. Integer operands are lanes of bits.

import { load_first, store_first } from './lanes'

/** The first `count` elements of a row, or its one element in all lanes. */
@inline
function load_column(x: usize, column: i32, count: i32): v128 {
  return column ? load_first(x, count) : v128.load32_splat(x)
}

/** Of two operands: the loop of whole vectors has no partial loads, twice as fast for + − × ÷. */
@inline
export function broadcast2<F>(
  a: usize,
  aOffset: i32,
  aRow: i32,
  aCol: i32,
  b: usize,
  bOffset: i32,
  bRow: i32,
  bCol: i32,
  y: usize,
  yOffset: i32,
  rows: i32,
  cols: i32,
): void {
  a += <usize>aOffset << 2
  b += <usize>bOffset << 2
  y += <usize>yOffset << 2
  for (let r = 0; r < rows; r++) {
    const a0 = v128.load32_splat(a)
    const b0 = v128.load32_splat(b)
    let left = cols
    let from = a
    let other = b
    for (; left >= 4; left -= 4, y += 16) {
      const va = aCol ? v128.load(from) : a0
      const vb = bCol ? v128.load(other) : b0
      v128.store(y, changetype<F>(0).of(va, vb))
      from += <usize>aCol << 4
      other += <usize>bCol << 4
    }
    if (left) {
      const va = aCol ? load_first(from, left) : a0
      const vb = bCol ? load_first(other, left) : b0
      store_first(y, changetype<F>(0).of(va, vb), left)
      y += <usize>left << 2
    }
    a += <usize>aRow << 2
    b += <usize>bRow << 2
  }
}

@inline
export function broadcast3<F>(
  a: usize,
  aOffset: i32,
  aRow: i32,
  aCol: i32,
  b: usize,
  bOffset: i32,
  bRow: i32,
  bCol: i32,
  c: usize,
  cOffset: i32,
  cRow: i32,
  cCol: i32,
  y: usize,
  yOffset: i32,
  rows: i32,
  cols: i32,
): void {
  a += <usize>aOffset << 2
  b += <usize>bOffset << 2
  c += <usize>cOffset << 2
  y += <usize>yOffset << 2
  for (let r = 0; r < rows; r++) {
    for (let i = 0; i < cols; i += 4) {
      const at = <usize>i << 2
      const left = cols - i
      const va = load_column(aCol ? a + at : a, aCol, left)
      const vb = load_column(bCol ? b + at : b, bCol, left)
      const vc = load_column(cCol ? c + at : c, cCol, left)
      store_first(y + at, changetype<F>(0).of(va, vb, vc), left)
    }
    a += <usize>aRow << 2
    b += <usize>bRow << 2
    c += <usize>cRow << 2
    y += <usize>cols << 2
  }
}

@inline
export function broadcast4<F>(
  a: usize,
  aOffset: i32,
  aRow: i32,
  aCol: i32,
  b: usize,
  bOffset: i32,
  bRow: i32,
  bCol: i32,
  c: usize,
  cOffset: i32,
  cRow: i32,
  cCol: i32,
  d: usize,
  dOffset: i32,
  dRow: i32,
  dCol: i32,
  y: usize,
  yOffset: i32,
  rows: i32,
  cols: i32,
): void {
  a += <usize>aOffset << 2
  b += <usize>bOffset << 2
  c += <usize>cOffset << 2
  d += <usize>dOffset << 2
  y += <usize>yOffset << 2
  for (let r = 0; r < rows; r++) {
    for (let i = 0; i < cols; i += 4) {
      const at = <usize>i << 2
      const left = cols - i
      const va = load_column(aCol ? a + at : a, aCol, left)
      const vb = load_column(bCol ? b + at : b, bCol, left)
      const vc = load_column(cCol ? c + at : c, cCol, left)
      const vd = load_column(dCol ? d + at : d, dCol, left)
      store_first(y + at, changetype<F>(0).of(va, vb, vc, vd), left)
    }
    a += <usize>aRow << 2
    b += <usize>bRow << 2
    c += <usize>cRow << 2
    d += <usize>dRow << 2
    y += <usize>cols << 2
  }
}
