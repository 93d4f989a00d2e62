// y = x between two views of up to four axes, sizes n0 … n3, any strides (0 repeats an element):
// permutations, expansions, concatenations and slices are all this copy. Elements are 32 bits of
// anything.

import { fill } from '../core/basics'

/** Rows of both side by side. */
function copy_rows(x: usize, xStep: usize, y: usize, yStep: usize, rows: i32, cols: i32): void {
  for (let r = 0; r < rows; r++) {
    let c = 0
    for (; c <= cols - 4; c += 4) {
      const at = <usize>c << 2
      v128.store(y + at, v128.load(x + at))
    }
    for (; c < cols; c++) {
      const at = <usize>c << 2
      store<u32>(y + at, load<u32>(x + at))
    }
    x += xStep
    y += yStep
  }
}

@inline
function transpose4x4(x: usize, xStep: usize, y: usize, yStep: usize): void {
  const r0 = v128.load(x)
  const r1 = v128.load(x + xStep)
  const r2 = v128.load(x + 2 * xStep)
  const r3 = v128.load(x + 3 * xStep)
  const low01 = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5)
  const low23 = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5)
  const high01 = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7)
  const high23 = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7)
  v128.store(y, v128.shuffle<f64>(low01, low23, 0, 2))
  v128.store(y + yStep, v128.shuffle<f64>(low01, low23, 1, 3))
  v128.store(y + 2 * yStep, v128.shuffle<f64>(high01, high23, 0, 2))
  v128.store(y + 3 * yStep, v128.shuffle<f64>(high01, high23, 1, 3))
}

/** Each row of y is one element of x. */
function repeat(x: usize, xStep: usize, y: usize, yStep: usize, rows: i32, cols: i32): void {
  for (let r = 0; r < rows; r++) {
    fill(y, load<f32>(x), cols)
    x += xStep
    y += yStep
  }
}

/**
 * Columns of x become rows of y, eight at a time: the lines of sixteen rows that are a power of two
 * apart push each other out of the first cache.
 */
function transpose(x: usize, xStep: usize, y: usize, yStep: usize, rows: i32, cols: i32): void {
  const even = cols & ~3
  for (let strip = 0; strip < (rows & ~3); strip += 8) {
    const end = min(strip + 8, rows & ~3)
    for (let c = 0; c < even; c += 4) {
      for (let r = strip; r < end; r += 4) {
        const from = x + <usize>c * xStep + (<usize>r << 2)
        transpose4x4(from, xStep, y + <usize>r * yStep + (<usize>c << 2), yStep)
      }
    }
  }
  const below = rows & ~3
  copy_any(x + <usize>even * xStep, 4, xStep, y + (<usize>even << 2), yStep, 4, below, cols - even)
  copy_any(x + (<usize>below << 2), 4, xStep, y + <usize>below * yStep, yStep, 4, rows - below, cols)
}

function copy_any(
  x: usize,
  xRow: usize,
  xCol: usize,
  y: usize,
  yRow: usize,
  yCol: usize,
  rows: i32,
  cols: i32,
): void {
  for (let r = 0; r < rows; r++) {
    let from = x
    let to = y
    for (let c = 0; c < cols; c++) {
      store<u32>(to, load<u32>(from))
      from += xCol
      to += yCol
    }
    x += xRow
    y += yRow
  }
}

export function copy_strided(
  x: usize,
  xOffset: i32,
  x0: i32,
  x1: i32,
  x2: i32,
  x3: i32,
  y: usize,
  yOffset: i32,
  y0: i32,
  y1: i32,
  y2: i32,
  y3: i32,
  n0: i32,
  n1: i32,
  n2: i32,
  n3: i32,
): void {
  const xRow = <usize>x2 << 2
  const yRow = <usize>y2 << 2
  for (let i = 0; i < n0; i++) {
    for (let j = 0; j < n1; j++) {
      const from = x + (<usize>(xOffset + i * x0 + j * x1) << 2)
      const to = y + (<usize>(yOffset + i * y0 + j * y1) << 2)
      if (x3 == 1 && y3 == 1) {
        copy_rows(from, xRow, to, yRow, n2, n3)
      } else if (x3 == 0 && y3 == 1) {
        repeat(from, xRow, to, yRow, n2, n3)
      } else if (x2 == 1 && y3 == 1) {
        transpose(from, <usize>x3 << 2, to, yRow, n2, n3)
      } else {
        copy_any(from, xRow, <usize>x3 << 2, to, yRow, <usize>y3 << 2, n2, n3)
      }
    }
  }
}
