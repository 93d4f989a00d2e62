// The gradient of the largest element of a row (the element itself: argmax.ts).

/** dx [rows, cols] = dy [rows] shared evenly among the elements of x that equal y [rows]. */
export function amax_backward(
  x: usize,
  y: usize,
  dy: usize,
  dx: usize,
  rows: i32,
  cols: i32,
): void {
  for (let r = 0; r < rows; r++) {
    const largest = load<f32>(y)
    let ties = 0
    for (let c = 0; c < cols; c++) {
      ties += <i32>(load<f32>(x + ((<usize>c) << 2)) == largest)
    }
    const share = load<f32>(dy) / <f32>ties
    for (let c = 0; c < cols; c++) {
      store<f32>(dx, load<f32>(x) == largest ? share : 0)
      x += 4
      dx += 4
    }
    y += 4
    dy += 4
  }
}
