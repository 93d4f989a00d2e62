// y [rows, cols] = running sums of each row of x, kept in f64; from the end with `reverse`.

export function cumsum(x: usize, y: usize, rows: i32, cols: i32, reverse: i32): void {
  const step: isize = reverse ? -4 : 4
  for (let r = 0; r < rows; r++) {
    const first: isize = reverse ? (cols - 1) << 2 : 0
    let sum: f64 = 0
    for (let c = 0, at = first; c < cols; c++, at += step) {
      sum += <f64>load<f32>(x + at)
      store<f32>(y + at, <f32>sum)
    }
    x += (<usize>cols) << 2
    y += (<usize>cols) << 2
  }
}
