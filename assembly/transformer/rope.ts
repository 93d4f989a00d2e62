// Rotates the two halves of the first 2·half elements of every head of x [B, T, H, D] by the angles of
// its position; the others stay as they are:
//   y[i] = x[i]·cos − sign·x[i + half]·sin,   y[i + half] = x[i + half]·cos + sign·x[i]·sin
// with cos and sin [P, half]. The position of (b, t) is positions[b·T + t], or offset + t without them.

export function rope(
  x: usize,
  cos: usize,
  sin: usize,
  positions: usize,
  hasPositions: i32,
  offset: i32,
  y: usize,
  B: i32,
  T: i32,
  H: i32,
  D: i32,
  half: i32,
  sign: f32,
): void {
  const rest = D - 2 * half
  const second = (<usize>half) << 2
  for (let row = 0; row < B * T; row++) {
    const position = hasPositions ? load<i32>(positions + ((<usize>row) << 2)) : offset + (row % T)
    const table = (<usize>position * <usize>half) << 2
    for (let h = 0; h < H; h++) {
      const at = ((<usize>row * <usize>H + <usize>h) * <usize>D) << 2
      rotate(x + at, cos + table, sin + table, y + at, half, second, sign)
      if (rest > 0) {
        memory.copy(y + at + 2 * second, x + at + 2 * second, (<usize>rest) << 2)
      }
    }
  }
}

function rotate(
  x: usize,
  cos: usize,
  sin: usize,
  y: usize,
  half: i32,
  second: usize,
  sign: f32,
): void {
  const signs = f32x4.splat(sign)
  let i = 0
  for (; i <= half - 4; i += 4) {
    const at = (<usize>i) << 2
    const c = v128.load(cos + at)
    const s = f32x4.mul(signs, v128.load(sin + at))
    const a = v128.load(x + at)
    const b = v128.load(x + at + second)
    v128.store(y + at, f32x4.sub(f32x4.mul(a, c), f32x4.mul(b, s)))
    v128.store(y + at + second, f32x4.add(f32x4.mul(b, c), f32x4.mul(a, s)))
  }
  for (; i < half; i++) {
    const at = (<usize>i) << 2
    const c = load<f32>(cos + at)
    const s = sign * load<f32>(sin + at)
    const a = load<f32>(x + at)
    const b = load<f32>(x + at + second)
    store<f32>(y + at, a * c - b * s)
    store<f32>(y + at + second, b * c + a * s)
  }
}
