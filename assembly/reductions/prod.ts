// y [rows] = product of each row of x [rows, cols], in f64. The gradient of an element is dy times the
// product of all others, from what stands before it and after it: y / x would divide by zero.

export function prod(x: usize, y: usize, rows: i32, cols: i32): void {
  for (let r = 0; r < rows; r++) {
    let product: f64 = 1
    for (let c = 0; c < cols; c++) {
      product *= <f64>load<f32>(x)
      x += 4
    }
    store<f32>(y, <f32>product)
    y += 4
  }
}

/** dx [rows, cols] from x and dy [rows]. */
export function prod_backward(x: usize, dy: usize, dx: usize, rows: i32, cols: i32): void {
  for (let r = 0; r < rows; r++) {
    let before: f64 = 1
    for (let c = 0; c < cols; c++) {
      const at = (<usize>c) << 2
      store<f32>(dx + at, <f32>before)
      before *= <f64>load<f32>(x + at)
    }
    let after = <f64>load<f32>(dy)
    for (let c = cols - 1; c >= 0; c--) {
      const at = (<usize>c) << 2
      store<f32>(dx + at, <f32>(after * <f64>load<f32>(dx + at)))
      after *= <f64>load<f32>(x + at)
    }
    x += (<usize>cols) << 2
    dx += (<usize>cols) << 2
    dy += 4
  }
}
