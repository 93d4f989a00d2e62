// The kernels that the tape itself uses: y[i] = value, y[i] = x[i], y[i] += x[i] for i < n.

export function fill(y: usize, value: f32, n: i32): void {
  const values = f32x4.splat(value)
  let i = 0
  for (; i <= n - 4; i += 4) {
    v128.store(y + ((<usize>i) << 2), values)
  }
  for (; i < n; i++) {
    store<f32>(y + ((<usize>i) << 2), value)
  }
}

export function copy(x: usize, y: usize, n: i32): void {
  memory.copy(y, x, (<usize>n) << 2)
}

export function accumulate(x: usize, y: usize, n: i32): void {
  let i = 0
  for (; i <= n - 4; i += 4) {
    const at = (<usize>i) << 2
    v128.store(y + at, f32x4.add(v128.load(y + at), v128.load(x + at)))
  }
  for (; i < n; i++) {
    const at = (<usize>i) << 2
    store<f32>(y + at, load<f32>(y + at) + load<f32>(x + at))
  }
}
