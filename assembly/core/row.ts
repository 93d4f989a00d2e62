// One row against a row-major matrix: c [N] = a [K] · B [N, K]ᵀ, without a packed copy of B.
// Four by four elements of eight rows of B at a time are transposed in registers, so that the lanes
// are columns of the product here too, and k ascends in one accumulator for each.

import { Job } from './job'
import { multiply_add } from './tile'

@inline
function interleave_low(x: v128, y: v128): v128 {
  return v128.shuffle<f32>(x, y, 0, 4, 1, 5)
}

@inline
function interleave_high(x: v128, y: v128): v128 {
  return v128.shuffle<f32>(x, y, 2, 6, 3, 7)
}

@inline
function pairs_low(x: v128, y: v128): v128 {
  return v128.shuffle<f64>(x, y, 0, 2)
}

@inline
function pairs_high(x: v128, y: v128): v128 {
  return v128.shuffle<f64>(x, y, 1, 3)
}

/** The sums of `count` <= 8 rows of B over the first K & ~3 elements, into sums[8]. */
function sum_rows(a: usize, b: usize, step: usize, count: i32, K: i32, sums: usize): void {
  let row0 = b
  let row1 = b + <usize>min(1, count - 1) * step
  let row2 = b + <usize>min(2, count - 1) * step
  let row3 = b + <usize>min(3, count - 1) * step
  let row4 = b + <usize>min(4, count - 1) * step
  let row5 = b + <usize>min(5, count - 1) * step
  let row6 = b + <usize>min(6, count - 1) * step
  let row7 = b + <usize>min(7, count - 1) * step
  let left = f32x4.splat(0)
  let right = f32x4.splat(0)
  for (let k = 4; k <= K; k += 4) {
    const low01 = interleave_low(v128.load(row0), v128.load(row1))
    const high01 = interleave_high(v128.load(row0), v128.load(row1))
    const low23 = interleave_low(v128.load(row2), v128.load(row3))
    const high23 = interleave_high(v128.load(row2), v128.load(row3))
    const low45 = interleave_low(v128.load(row4), v128.load(row5))
    const high45 = interleave_high(v128.load(row4), v128.load(row5))
    const low67 = interleave_low(v128.load(row6), v128.load(row7))
    const high67 = interleave_high(v128.load(row6), v128.load(row7))
    let x = v128.load32_splat(a)
    left = multiply_add(left, x, pairs_low(low01, low23))
    right = multiply_add(right, x, pairs_low(low45, low67))
    x = v128.load32_splat(a, 4)
    left = multiply_add(left, x, pairs_high(low01, low23))
    right = multiply_add(right, x, pairs_high(low45, low67))
    x = v128.load32_splat(a, 8)
    left = multiply_add(left, x, pairs_low(high01, high23))
    right = multiply_add(right, x, pairs_low(high45, high67))
    x = v128.load32_splat(a, 12)
    left = multiply_add(left, x, pairs_high(high01, high23))
    right = multiply_add(right, x, pairs_high(high45, high67))
    a += 16
    row0 += 16
    row1 += 16
    row2 += 16
    row3 += 16
    row4 += 16
    row5 += 16
    row6 += 16
    row7 += 16
  }
  v128.store(sums, left)
  v128.store(sums, right, 16)
}

/** All of c for the one row of the job. */
export function row_by_rows(job: Job, N: i32): void {
  const K = job.K
  let b = job.b
  let c = job.c
  for (let n = 0; n < N; n += 8) {
    const count = min(8, N - n)
    sum_rows(job.a, b, job.bRow, count, K, job.raw)
    for (let lane = 0; lane < count; lane++) {
      let sum = load<f32>(job.raw + ((<usize>lane) << 2))
      for (let k = K & ~3; k < K; k++) {
        const at = (<usize>k) << 2
        sum += load<f32>(job.a + at) * load<f32>(b + <usize>lane * job.bRow + at)
      }
      const value = job.alpha * sum
      store<f32>(c, job.accumulate ? load<f32>(c) + value : value)
      c += 4
    }
    b += 8 * job.bRow
  }
}
