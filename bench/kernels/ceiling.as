// What one core can do at best, for the benches to compare with: 128-bit multiplications and additions
// between registers, and reading memory. AssemblyScript, compiled by the bench.

/** Seven independent chains of products and seven of sums: 56 operations a step. `one` is 1. */
export function multiply_add(steps: i32, one: f32): f32 {
  const y = f32x4.splat(one)
  let x0 = f32x4.splat(one * 1.5)
  let x1 = f32x4.splat(one * 2.5)
  let x2 = f32x4.splat(one * 3.5)
  let x3 = f32x4.splat(one * 4.5)
  let x4 = f32x4.splat(one * 5.5)
  let x5 = f32x4.splat(one * 6.5)
  let x6 = f32x4.splat(one * 7.5)
  let s0 = y
  let s1 = y
  let s2 = y
  let s3 = y
  let s4 = y
  let s5 = y
  let s6 = y
  for (let i = 0; i < steps; i++) {
    x0 = f32x4.mul(x0, y)
    s0 = f32x4.add(s0, x0)
    x1 = f32x4.mul(x1, y)
    s1 = f32x4.add(s1, x1)
    x2 = f32x4.mul(x2, y)
    s2 = f32x4.add(s2, x2)
    x3 = f32x4.mul(x3, y)
    s3 = f32x4.add(s3, x3)
    x4 = f32x4.mul(x4, y)
    s4 = f32x4.add(s4, x4)
    x5 = f32x4.mul(x5, y)
    s5 = f32x4.add(s5, x5)
    x6 = f32x4.mul(x6, y)
    s6 = f32x4.add(s6, x6)
  }
  const sum = f32x4.add(f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3)), f32x4.add(s4, s5))
  return f32x4.extract_lane(f32x4.add(sum, s6), 0)
}

/** Reads `bytes` (a multiple of 128) in eight vectors at a time. */
export function read(x: usize, bytes: usize): f32 {
  let s0 = f32x4.splat(0)
  let s1 = s0
  let s2 = s0
  let s3 = s0
  const end = x + bytes
  while (x < end) {
    s0 = v128.xor(s0, v128.xor(v128.load(x), v128.load(x, 64)))
    s1 = v128.xor(s1, v128.xor(v128.load(x, 16), v128.load(x, 80)))
    s2 = v128.xor(s2, v128.xor(v128.load(x, 32), v128.load(x, 96)))
    s3 = v128.xor(s3, v128.xor(v128.load(x, 48), v128.load(x, 112)))
    x += 128
  }
  return f32x4.extract_lane(v128.xor(v128.xor(s0, s1), v128.xor(s2, s3)), 0)
}
