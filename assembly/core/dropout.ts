// y[i] = keep(i) ? scale·x[i] : 0 for i < n, where keep(i) says that word i mod 4 of Philox block
// i / 4 of (seed, stream) is at least `threshold`. The same words as src/core/rng.ts.

const MULTIPLIER_0: u64 = 0xd2511f53
const MULTIPLIER_1: u64 = 0xcd9e8d57
const WEYL_0: u32 = 0x9e3779b9
const WEYL_1: u32 = 0xbb67ae85

export function dropout(
  x: usize,
  y: usize,
  seedLow: u32,
  seedHigh: u32,
  stream: u32,
  threshold: u32,
  scale: f32,
  n: i32,
): void {
  for (let i = 0; i < n; i += 4) {
    let c0: u32 = i >> 2
    let c1: u32 = 0
    let c2: u32 = stream
    let c3: u32 = 0
    let k0 = seedLow
    let k1 = seedHigh
    for (let round = 0; round < 10; round++) {
      const p0 = MULTIPLIER_0 * <u64>c0
      const p1 = MULTIPLIER_1 * <u64>c2
      c0 = <u32>(p1 >> 32) ^ c1 ^ k0
      c1 = <u32>p1
      c2 = <u32>(p0 >> 32) ^ c3 ^ k1
      c3 = <u32>p0
      k0 += WEYL_0
      k1 += WEYL_1
    }
    put(x, y, i, c0, threshold, scale)
    if (i + 1 < n) {
      put(x, y, i + 1, c1, threshold, scale)
    }
    if (i + 2 < n) {
      put(x, y, i + 2, c2, threshold, scale)
    }
    if (i + 3 < n) {
      put(x, y, i + 3, c3, threshold, scale)
    }
  }
}

// @ts-ignore: decorator
@inline
function put(x: usize, y: usize, i: i32, word: u32, threshold: u32, scale: f32): void {
  const at = (<usize>i) << 2
  store<f32>(y + at, word >= threshold ? load<f32>(x + at) * scale : 0)
}
