// What becomes of the sums of a register tile: C = alpha·sum, C + alpha·sum, or the raw sums for the next block
// of K.

import { ACCUMULATE, Job, LEAVE, RAW_STEP } from './job'

/** Stores eight columns of a row. */
@inline
function put(c: usize, low: v128, high: v128): void {
  v128.store(c, low)
  v128.store(c, high, 16)
}

/** Adds eight columns of a row to what is stored. */
@inline
function put_sum(c: usize, low: v128, high: v128): void {
  put(c, f32x4.add(v128.load(c), low), f32x4.add(v128.load(c, 16), high))
}

/** Stores eight columns of a row: alpha·sum, C + alpha·sum, or the raw sum. */
@inline
export function finish(low: v128, high: v128, c: usize, job: Job): void {
  if (job.flags & LEAVE) {
    put(c, low, high)
    return
  }
  const alpha = v128.load32_splat(changetype<usize>(job), offsetof<Job>('alpha'))
  if (job.flags & ACCUMULATE) {
    put_sum(c, f32x4.mul(alpha, low), f32x4.mul(alpha, high))
  } else {
    put(c, f32x4.mul(alpha, low), f32x4.mul(alpha, high))
  }
}

/** Stores four rows of eight columns as `finish` does one. */
@inline
export function finish_tile(
  job: Job,
  c: usize,
  raw: usize,
  c00: v128,
  c01: v128,
  c10: v128,
  c11: v128,
  c20: v128,
  c21: v128,
  c30: v128,
  c31: v128,
): void {
  if (job.flags & LEAVE) {
    put(raw, c00, c01)
    put(raw + RAW_STEP, c10, c11)
    put(raw + 2 * RAW_STEP, c20, c21)
    put(raw + 3 * RAW_STEP, c30, c31)
  } else {
    const alpha = v128.load32_splat(changetype<usize>(job), offsetof<Job>('alpha'))
    const to1 = c + job.cRow
    const to2 = to1 + job.cRow
    const to3 = to2 + job.cRow
    c00 = f32x4.mul(alpha, c00)
    c01 = f32x4.mul(alpha, c01)
    c10 = f32x4.mul(alpha, c10)
    c11 = f32x4.mul(alpha, c11)
    c20 = f32x4.mul(alpha, c20)
    c21 = f32x4.mul(alpha, c21)
    c30 = f32x4.mul(alpha, c30)
    c31 = f32x4.mul(alpha, c31)
    if (job.flags & ACCUMULATE) {
      put_sum(c, c00, c01)
      put_sum(to1, c10, c11)
      put_sum(to2, c20, c21)
      put_sum(to3, c30, c31)
    } else {
      put(c, c00, c01)
      put(to1, c10, c11)
      put(to2, c20, c21)
      put(to3, c30, c31)
    }
  }
}
