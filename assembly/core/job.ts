// What the parts of one product share: numbers that would otherwise be twenty operands of every
// call. A view on the head of scratch, not an object: nothing is allocated.

import { element_size } from './cast'

/** The sums go on from the raw ones of the K block before. */
export const RESUME: i32 = 1
/** The raw sums are left for the next K block, or for a narrow last panel. */
export const LEAVE: i32 = 2
/** C is added to. */
export const ACCUMULATE: i32 = 4

// Rows of A in a block (its K block stays in the second cache level), k in a block (a panel of it
// stays in the first).
export const ROWS: i32 = 320
export const DEPTH: i32 = 256

// Columns of B that are packed together where they share cache lines.
export const GROUP: i32 = 32

/** Columns of a block of C, and so of its raw sums. */
export const COLUMNS: i32 = 256
/** Bytes from a row of raw sums to the next. */
export const RAW_STEP: usize = COLUMNS << 2

/** Bytes of zeros before the job: what sums start from. */
export const ZEROS: usize = 64
/** f32 elements of the head of scratch: zeros and job. */
export const HEAD: i32 = 64

// Scratch, in elements: the head, raw sums, packed panels of B, packed strips of A.
const RAW: i32 = ROWS * COLUMNS
export const PACKED_B: i32 = DEPTH * GROUP
export const PACKED_A: i32 = DEPTH * ROWS

/** f32 elements of `scratch` that the products need. */
export function matmul_scratch(): i32 {
  return HEAD + RAW + PACKED_B + PACKED_A
}

@unmanaged
export class Job {
  alpha: f32
  /** RESUME, LEAVE, ACCUMULATE, for the block in hand. */
  flags: i32
  accumulate: i32

  // The operands: first byte, and bytes from a row of the product to the next (A, C), from a k to
  // the next (A), from a stored row to the next (B).
  a: usize
  aRow: usize
  aStep: usize
  b: usize
  bRow: usize
  /** B is [N, K], its format as in cast.ts. */
  transposed: bool
  format: i32
  c: usize
  cRow: usize
  K: i32

  /** The parts of scratch: raw sums, packed panels of B, packed strips of A. */
  raw: usize
  packedB: usize
  packedA: usize

  /** k in the block in hand. */
  depth: i32
  /** Bytes from a k of a panel to the next, and from a panel to the next. */
  bStep: usize
  bNext: usize
  /** From one tile to the next, in bytes: down a column of tiles, or along a row of them. */
  aTile: usize
  bTile: usize
  cTile: usize
  rawTile: usize

  /** B is read in place and from beyond the caches. */
  far: bool
  /** What tiles that read ahead touch first, and bytes from one k to the next. */
  ahead: usize
  aheadStep: usize
}

/** The first of the zeros that sums start from. */
@inline
export function zeros(job: Job): usize {
  return changetype<usize>(job) - ZEROS
}

/** The operands of a product, on the head of scratch. */
export function prepare(
  tn: bool,
  nt: bool,
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
  K: i32,
  alpha: f32,
  accumulate: i32,
  scratch: usize,
): Job {
  for (let at: usize = 0; at < ZEROS; at += 16) {
    v128.store(scratch + at, i32x4.splat(0))
  }
  const size = <usize>element_size(bFormat)
  const job = changetype<Job>(scratch + ZEROS)
  job.alpha = alpha
  job.accumulate = accumulate ? ACCUMULATE : 0
  job.a = a + ((<usize>aOffset) << 2)
  job.aRow = tn ? 4 : (<usize>aStride) << 2
  job.aStep = tn ? (<usize>aStride) << 2 : 4
  job.b = b + <usize>bOffset * size
  job.bRow = <usize>bStride * size
  job.transposed = nt
  job.format = bFormat
  job.c = c + ((<usize>cOffset) << 2)
  job.cRow = (<usize>cStride) << 2
  job.K = K
  job.raw = scratch + (HEAD << 2)
  job.packedB = job.raw + (RAW << 2)
  job.packedA = job.packedB + (PACKED_B << 2)
  return job
}
