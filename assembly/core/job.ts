// What the tiles of one product share: numbers that would otherwise be eighteen operands of every
// call. A view on the head of scratch, not an object: nothing is allocated.

/** The sums go on from the raw ones of the K block before. */
export const RESUME: i32 = 1
/** The raw sums are left for the next K block, or for a narrow last panel. */
export const LEAVE: i32 = 2
/** C is added to. */
export const ACCUMULATE: i32 = 4

/** Columns of a block of C, and so of its raw sums. */
export const COLUMNS: i32 = 256
/** Bytes from a row of raw sums to the next. */
export const RAW_STEP: usize = COLUMNS << 2

/** Bytes of zeros before the job: what sums start from. */
export const ZEROS: usize = 64
/** f32 elements of the head of scratch: zeros and job. */
export const HEAD: i32 = 64

@unmanaged
export class Job {
  alpha: f32
  flags: i32
  /** k in this block. */
  depth: i32
  /** Bytes from a row of A to the next, and from a k to the next. */
  aRow: usize
  aStep: usize
  /** Bytes from a k of a panel to the next, and from a panel to the next. */
  bStep: usize
  bNext: usize
  /** Bytes from a row of C to the next. */
  cRow: usize
  /** From one tile to the next, in bytes: down a column of tiles, or along a row of them. */
  aTile: usize
  bTile: usize
  cTile: usize
  rawTile: usize
}

/** The first of the zeros that sums start from. */
@inline
export function zeros(job: Job): usize {
  return changetype<usize>(job) - ZEROS
}
