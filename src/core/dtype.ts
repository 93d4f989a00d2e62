// Element types, by PyTorch's names, and the code by which a kernel is told how a frozen matrix is
// stored.

export type DType = 'float32' | 'float16' | 'bfloat16' | 'int32'

export type TypedArray = Float32Array | Float64Array | Int32Array | Uint16Array

/** Bytes of one element as it is stored. */
export const BYTES: Readonly<Record<DType, number>> = {
  float32: 4,
  float16: 2,
  bfloat16: 2,
  int32: 4,
}

/** What matrix kernels receive as `format`: how the elements of a matrix are stored, row by row. */
export const FORMAT: Readonly<Record<DType, number>> = {
  float32: 0,
  float16: 1,
  bfloat16: 2,
  int32: -1,
}

/** Added to a format where a frozen matrix [O, I] is held in panels [O/8][I][8]. */
export const PANELS = 4

export function isHalf(dtype: DType): boolean {
  return dtype === 'float16' || dtype === 'bfloat16'
}
