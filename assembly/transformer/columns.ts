// Sums over the rows of a matrix, one per column, blocked in one fixed way: blocks of 64 rows in
// f32, the blocks added in f64, rows ascending. Scratch: the f64 totals, then the f32 block.

/** Rows in a block. */
export const ROWS: i32 = 64

/** Bytes of scratch before the sums of a block. */
@inline
function totals_bytes(cols: i32): usize {
  return <usize>cols << 3
}

/** Where the sums of the current block of rows are. */
@inline
export function block_sums(scratch: usize, cols: i32): usize {
  return scratch + totals_bytes(cols)
}

/** Starts with no rows. */
export function columns_clear(scratch: usize, cols: i32): void {
  memory.fill(scratch, 0, totals_bytes(cols) + (<usize>cols << 2))
}

/** Adds the sums of a block to the totals and starts another. */
export function columns_flush(scratch: usize, cols: i32): void {
  const sums = block_sums(scratch, cols)
  for (let j = 0; j < cols; j++) {
    const total = scratch + (<usize>j << 3)
    store<f64>(total, load<f64>(total) + <f64>load<f32>(sums + (<usize>j << 2)))
  }
  memory.fill(sums, 0, <usize>cols << 2)
}

/** y[cols] = the totals. */
export function columns_write(scratch: usize, y: usize, cols: i32): void {
  for (let j = 0; j < cols; j++) {
    store<f32>(y + (<usize>j << 2), <f32>load<f64>(scratch + (<usize>j << 3)))
  }
}

/** sums[j] += dy[j] (x[j] - mean) rstd */
@inline
export function add_products(dy: usize, x: usize, mean: f32, rstd: f32, sums: usize, cols: i32): void {
  const shift = f32x4.splat(mean)
  const factor = f32x4.splat(rstd)
  let j = 0
  for (; j <= cols - 4; j += 4) {
    const at = <usize>j << 2
    const normal = f32x4.mul(f32x4.sub(v128.load(x + at), shift), factor)
    const product = f32x4.mul(v128.load(dy + at), normal)
    v128.store(sums + at, f32x4.add(v128.load(sums + at), product))
  }
  for (; j < cols; j++) {
    const at = <usize>j << 2
    const product = load<f32>(dy + at) * ((load<f32>(x + at) - mean) * rstd)
    store<f32>(sums + at, load<f32>(sums + at) + product)
  }
}
