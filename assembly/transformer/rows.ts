// Sums over one row, blocked in one fixed way: blocks of 128 elements, in each eight f32 lanes
// (element i in lane i % 8), the lanes of a block and then the blocks added in f64. The relative
// error is at most 16 roundings of f32 however long the row is, and depends on the row alone.

/** Elements in a block. */
const BLOCK: i32 = 128

/** The four lanes, added pairwise in f64. */
@inline
function lanes_sum(x: v128): f64 {
  const low = f64x2.promote_low_f32x4(x)
  const high = f64x2.promote_low_f32x4(i64x2.shuffle(x, x, 1, 0))
  const sum = f64x2.add(low, high)
  return f64x2.extract_lane(sum, 0) + f64x2.extract_lane(sum, 1)
}

/** Σ (a[i] - aShift) (b[i] - bShift) for i < n; a shift of 0 changes no bit. */
@inline
export function products(a: usize, aShift: f32, b: usize, bShift: f32, n: i32): f64 {
  const shiftA = f32x4.splat(aShift)
  const shiftB = f32x4.splat(bShift)
  let total: f64 = 0
  let i = 0
  while (i <= n - 8) {
    const end = min(i + BLOCK, n & ~7)
    let sum0 = f32x4.splat(0)
    let sum1 = sum0
    for (; i < end; i += 8) {
      const at = <usize>i << 2
      const a0 = f32x4.sub(v128.load(a + at), shiftA)
      const a1 = f32x4.sub(v128.load(a + at, 16), shiftA)
      const b0 = f32x4.sub(v128.load(b + at), shiftB)
      const b1 = f32x4.sub(v128.load(b + at, 16), shiftB)
      sum0 = f32x4.add(sum0, f32x4.mul(a0, b0))
      sum1 = f32x4.add(sum1, f32x4.mul(a1, b1))
    }
    total += lanes_sum(f32x4.add(sum0, sum1))
  }
  for (; i < n; i++) {
    const at = <usize>i << 2
    total += <f64>((load<f32>(a + at) - aShift) * (load<f32>(b + at) - bShift))
  }
  return total
}

/** Σ a[i] for i < n. */
@inline
export function row_sum(a: usize, n: i32): f64 {
  let total: f64 = 0
  let i = 0
  while (i <= n - 8) {
    const end = min(i + BLOCK, n & ~7)
    let sum0 = f32x4.splat(0)
    let sum1 = sum0
    for (; i < end; i += 8) {
      const at = <usize>i << 2
      sum0 = f32x4.add(sum0, v128.load(a + at))
      sum1 = f32x4.add(sum1, v128.load(a + at, 16))
    }
    total += lanes_sum(f32x4.add(sum0, sum1))
  }
  for (; i < n; i++) {
    total += <f64>load<f32>(a + (<usize>i << 2))
  }
  return total
}
