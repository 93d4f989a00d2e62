// The kernels of a convolution beside products, as plain loops. Element (c, i, j) of a kernel over an
// image [C, H, W] finds, for output (r, s), the element
//
//   x[c, r·strideH − padH + i·dilH, s·strideW − padW + j·dilW],   zero outside the image:
//
// row (c·kh + i)·kw + j, column (r − r0)·OW + s of the columns.

import type { Floats } from '../core/backend.ts'

/** Between an image [C, H, W] and its columns [C·kh·kw, rows·OW], those of output rows from r0 on. */
export type PatchKernel = (
  image: Floats,
  imageOffset: number,
  columns: Floats,
  C: number,
  H: number,
  W: number,
  kh: number,
  kw: number,
  strideH: number,
  strideW: number,
  padH: number,
  padW: number,
  dilH: number,
  dilW: number,
  r0: number,
  rows: number,
  OW: number,
) => void

export interface ConvKernels {
  /** columns = the patches of the image. */
  readonly im2col: PatchKernel
  /** The image += columns, where each came from. */
  readonly col2im: PatchKernel
  /** y [B, O, P] = bias [O] at every position. */
  fill_channels(bias: Floats, y: Floats, B: number, O: number, P: number): void
  /** dbias [O] = Σ over the batch and the positions of dy [B, O, P]. */
  sum_channels(dy: Floats, dbias: Floats, B: number, O: number, P: number): void
}

/** Calls `visit` with every element of the columns, in order, and the one of the image, or -1. */
function patchWalk(
  visit: (image: Floats, from: number, columns: Floats, to: number) => void,
): PatchKernel {
  return (
    image,
    imageOffset,
    columns,
    C,
    H,
    W,
    kh,
    kw,
    strideH,
    strideW,
    padH,
    padW,
    dilH,
    dilW,
    r0,
    rows,
    OW,
  ) => {
    let at = 0
    for (let row = 0; row < C * kh * kw; row++) {
      const c = Math.floor(row / (kh * kw))
      const i = Math.floor(row / kw) % kh
      const j = row % kw
      for (let r = r0; r < r0 + rows; r++) {
        for (let s = 0; s < OW; s++) {
          const h = r * strideH - padH + i * dilH
          const w = s * strideW - padW + j * dilW
          const inside = h >= 0 && h < H && w >= 0 && w < W
          visit(image, inside ? imageOffset + (c * H + h) * W + w : -1, columns, at++)
        }
      }
    }
  }
}

export const convReference: ConvKernels = {
  im2col: /* @__PURE__ */ patchWalk((image, from, columns, to) => {
    columns[to] = from < 0 ? 0 : image[from]
  }),

  col2im: /* @__PURE__ */ patchWalk((image, from, columns, to) => {
    if (from >= 0) {
      image[from] += columns[to]
    }
  }),

  fill_channels(bias, y, B, O, P) {
    for (let at = 0; at < B * O * P; at++) {
      y[at] = bias[Math.floor(at / P) % O]
    }
  },

  sum_channels(dy, dbias, B, O, P) {
    for (let o = 0; o < O; o++) {
      dbias[o] = 0
      for (let b = 0; b < B; b++) {
        for (let p = 0; p < P; p++) {
          dbias[o] += dy[(b * O + o) * P + p]
        }
      }
    }
  },
}
