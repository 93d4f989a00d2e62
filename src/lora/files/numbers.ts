// Tensors of adapter files as numbers: turned, multiplied, rounded, compared.

import { fromNumbers, toFloat64 } from '../../io/dtypes.ts'
import type { FileTensor } from './adapter_file.ts'

/** Rows become columns: the layout of MLX's matrices, and back. */
export function transposed({ dtype, shape: [rows, cols], data }: FileTensor): FileTensor {
  const turned = data.map((_, at) => data[(at % rows) * cols + Math.floor(at / rows)])
  return { dtype, shape: [cols, rows], data: turned }
}

/** The numbers times a factor. */
export function scaled(tensor: FileTensor, factor: number): FileTensor {
  return { ...tensor, data: tensor.data.map(value => value * factor) }
}

/** The numbers as a file holds them. */
export function rounded(tensor: FileTensor): FileTensor {
  const { dtype, data } = tensor
  return { ...tensor, data: toFloat64(fromNumbers(data, dtype), dtype) }
}

export function sameNumbers(a: FileTensor, b: FileTensor): boolean {
  return a.data.length === b.data.length && a.data.every((value, i) => value === b.data[i])
}
