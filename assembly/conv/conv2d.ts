// Convolution as a product: the patches of an image as columns, and columns added back into an image.
//   columns[(c kh + i) kw + j, r OW + s] = x[c, (r0 + r) strideH - padH + i dilH, s strideW - padW + j dilW]
// for output rows r0 … r0 + rows - 1, zero outside the image. Formulas: src/ops/conv2d.ts.

import { row_sum } from '../core/rows'

/** ⌈a / b⌉ for b > 0. */
@inline
function ceil_div(a: i32, b: i32): i32 {
  return a > 0 ? (a + b - 1) / b : 0
}

/** The first output column that tap offset `shift` (s stride + shift is the input column) finds. */
@inline
function first_column(shift: i32, stride: i32, OW: i32): i32 {
  return min(OW, ceil_div(-shift, stride))
}

/** The output column after the last one that finds an input column below W. */
@inline
function end_column(shift: i32, stride: i32, W: i32, first: i32, OW: i32): i32 {
  return max(first, min(OW, ceil_div(W - shift, stride)))
}

@inline
function read_row(x: usize, shift: i32, stride: i32, first: i32, end: i32, OW: i32, columns: usize): void {
  memory.fill(columns, 0, <usize>first << 2)
  if (stride == 1) {
    memory.copy(columns + (<usize>first << 2), x + (<usize>(first + shift) << 2), <usize>(end - first) << 2)
  } else {
    for (let s = first; s < end; s++) {
      store<f32>(columns + (<usize>s << 2), load<f32>(x + (<usize>(s * stride + shift) << 2)))
    }
  }
  memory.fill(columns + (<usize>end << 2), 0, <usize>(OW - end) << 2)
}

@inline
function add_row(columns: usize, shift: i32, stride: i32, first: i32, end: i32, dx: usize): void {
  let s = first
  if (stride == 1) {
    for (; s <= end - 4; s += 4) {
      const to = dx + (<usize>(s + shift) << 2)
      v128.store(to, f32x4.add(v128.load(to), v128.load(columns + (<usize>s << 2))))
    }
  }
  for (; s < end; s++) {
    const to = dx + (<usize>(s * stride + shift) << 2)
    store<f32>(to, load<f32>(to) + load<f32>(columns + (<usize>s << 2)))
  }
}

/** columns [C kh kw, rows OW] of x [C, H, W]; see the head of this file. */
export function im2col(
  x: usize,
  xOffset: i32,
  columns: usize,
  C: i32,
  H: i32,
  W: i32,
  kh: i32,
  kw: i32,
  strideH: i32,
  strideW: i32,
  padH: i32,
  padW: i32,
  dilH: i32,
  dilW: i32,
  r0: i32,
  rows: i32,
  OW: i32,
): void {
  let image = x + (<usize>xOffset << 2)
  for (let c = 0; c < C; c++) {
    for (let i = 0; i < kh; i++) {
      for (let j = 0; j < kw; j++) {
        const shift = j * dilW - padW
        const first = first_column(shift, strideW, OW)
        const end = end_column(shift, strideW, W, first, OW)
        for (let r = r0; r < r0 + rows; r++) {
          const h = r * strideH - padH + i * dilH
          if (h < 0 || h >= H) {
            memory.fill(columns, 0, <usize>OW << 2)
          } else {
            read_row(image + (<usize>(h * W) << 2), shift, strideW, first, end, OW, columns)
          }
          columns += <usize>OW << 2
        }
      }
    }
    image += <usize>(H * W) << 2
  }
}

/** dx [C, H, W] += columns [C kh kw, rows OW], each where im2col read it. */
export function col2im(
  dx: usize,
  dxOffset: i32,
  columns: usize,
  C: i32,
  H: i32,
  W: i32,
  kh: i32,
  kw: i32,
  strideH: i32,
  strideW: i32,
  padH: i32,
  padW: i32,
  dilH: i32,
  dilW: i32,
  r0: i32,
  rows: i32,
  OW: i32,
): void {
  let image = dx + (<usize>dxOffset << 2)
  for (let c = 0; c < C; c++) {
    for (let i = 0; i < kh; i++) {
      for (let j = 0; j < kw; j++) {
        const shift = j * dilW - padW
        const first = first_column(shift, strideW, OW)
        const end = end_column(shift, strideW, W, first, OW)
        for (let r = r0; r < r0 + rows; r++) {
          const h = r * strideH - padH + i * dilH
          if (h >= 0 && h < H) {
            add_row(columns, shift, strideW, first, end, image + (<usize>(h * W) << 2))
          }
          columns += <usize>OW << 2
        }
      }
    }
    image += <usize>(H * W) << 2
  }
}

/** y [B, O, P] = bias [O] at every position. */
export function fill_channels(bias: usize, y: usize, B: i32, O: i32, P: i32): void {
  for (let b = 0; b < B; b++) {
    for (let o = 0; o < O; o++) {
      const value = load<f32>(bias + (<usize>o << 2))
      for (let p = 0; p < P; p++) {
        store<f32>(y, value)
        y += 4
      }
    }
  }
}

/** dbias [O] = Σ dy [B, O, P] over the batch and all positions, in f64. */
export function sum_channels(dy: usize, dbias: usize, B: i32, O: i32, P: i32): void {
  const step = <usize>P << 2
  for (let o = 0; o < O; o++) {
    let sum: f64 = 0
    for (let b = 0; b < B; b++) {
      sum += row_sum(dy + <usize>(b * O + o) * step, P)
    }
    store<f32>(dbias + (<usize>o << 2), <f32>sum)
  }
}
