// Elements picked by an index of their own, and added back; in index order, so that sums of repeated
// indices have one order.

/** y [outer, count, inner] = x [outer, size, inner] at index [outer, count, inner] of the middle axis. */
export function gather(
  x: usize,
  index: usize,
  y: usize,
  outer: i32,
  size: i32,
  count: i32,
  inner: i32,
): void {
  for (let o = 0; o < outer; o++) {
    for (let k = 0; k < count; k++) {
      for (let i = 0; i < inner; i++) {
        const at = load<i32>(index) * inner + i
        store<f32>(y, load<f32>(x + ((<usize>at) << 2)))
        index += 4
        y += 4
      }
    }
    x += (<usize>size * <usize>inner) << 2
  }
}

/** y [outer, size, inner] += x [outer, count, inner] at index [outer, count, inner]. */
export function scatter_add(
  x: usize,
  index: usize,
  y: usize,
  outer: i32,
  size: i32,
  count: i32,
  inner: i32,
): void {
  for (let o = 0; o < outer; o++) {
    for (let k = 0; k < count; k++) {
      for (let i = 0; i < inner; i++) {
        const at = y + ((<usize>(load<i32>(index) * inner + i)) << 2)
        store<f32>(at, load<f32>(at) + load<f32>(x))
        index += 4
        x += 4
      }
    }
    y += (<usize>size * <usize>inner) << 2
  }
}
