// Products of f32 activations with f32, f16 or bf16 matrices, in rows or in panels:
//   matmul_nn   C [M, N] = A [M, K] · B [K, N]
//   matmul_nt   C [M, N] = A [M, K] · B [N, K]ᵀ
//   matmul_tn   C [M, N] = A [K, M]ᵀ · B [K, N]
//   v = alpha·Σ_k a·b,   C = v, or C + v with `accumulate`
// An element has one accumulator, from 0, k ascending, multiply then add: its bits depend on its row
// of A, its column of B and K alone. Blocks of K hand their raw sums on through `scratch`.
// bFormat: 0 f32, 1 f16, 2 bf16; 4 is added where B is in panels (see panels.ts): then bOffset is
// row · bStride with row a multiple of 8, and bStride the width of the frozen matrix.
// scratch: matmul_scratch() elements.

import { multiply } from './blocks'
import { F32 } from './cast'
import { prepare } from './job'
import { row_by_rows } from './row'

export { matmul_scratch } from './job'

/** C [M, N] = A [M, K] · B [K, N]; see the head of this file. */
export function matmul_nn(
  a: usize,
  aOffset: i32,
  aStride: i32,
  b: usize,
  bOffset: i32,
  bStride: i32,
  bFormat: i32,
  c: usize,
  cOffset: i32,
  cStride: i32,
  M: i32,
  N: i32,
  K: i32,
  alpha: f32,
  accumulate: i32,
  scratch: usize,
): void {
  const job = prepare(
    false,
    false,
    a,
    aOffset,
    aStride,
    b,
    bOffset,
    bStride,
    bFormat,
    c,
    cOffset,
    cStride,
    K,
    alpha,
    accumulate,
    scratch,
  )
  multiply(job, M, N, K)
}

/** C [M, N] = A [M, K] · B [N, K]ᵀ; see the head of this file. */
export function matmul_nt(
  a: usize,
  aOffset: i32,
  aStride: i32,
  b: usize,
  bOffset: i32,
  bStride: i32,
  bFormat: i32,
  c: usize,
  cOffset: i32,
  cStride: i32,
  M: i32,
  N: i32,
  K: i32,
  alpha: f32,
  accumulate: i32,
  scratch: usize,
): void {
  const job = prepare(
    false,
    true,
    a,
    aOffset,
    aStride,
    b,
    bOffset,
    bStride,
    bFormat,
    c,
    cOffset,
    cStride,
    K,
    alpha,
    accumulate,
    scratch,
  )
  if (M == 1 && bFormat == F32) {
    row_by_rows(job, N)
  } else {
    multiply(job, M, N, K)
  }
}

/** C [M, N] = A [K, M]ᵀ · B [K, N]; see the head of this file. */
export function matmul_tn(
  a: usize,
  aOffset: i32,
  aStride: i32,
  b: usize,
  bOffset: i32,
  bStride: i32,
  bFormat: i32,
  c: usize,
  cOffset: i32,
  cStride: i32,
  M: i32,
  N: i32,
  K: i32,
  alpha: f32,
  accumulate: i32,
  scratch: usize,
): void {
  const job = prepare(
    true,
    false,
    a,
    aOffset,
    aStride,
    b,
    bOffset,
    bStride,
    bFormat,
    c,
    cOffset,
    cStride,
    K,
    alpha,
    accumulate,
    scratch,
  )
  multiply(job, M, N, K)
}
