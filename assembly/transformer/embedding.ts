// dw[index[i]] += dy[i] for every row i < count of dy [count, C], in order, so that the bits do not
// depend on anything but the indices. Rows whose index is `padding` are left out (-1: none is).

export function embedding_backward(
  dy: usize,
  index: usize,
  dw: usize,
  count: i32,
  C: i32,
  padding: i32,
): void {
  for (let i = 0; i < count; i++) {
    const row = load<i32>(index + ((<usize>i) << 2))
    if (row == padding) {
      continue
    }
    const from = dy + (((<usize>i) * (<usize>C)) << 2)
    const to = dw + (((<usize>row) * (<usize>C)) << 2)
    let c = 0
    for (; c <= C - 4; c += 4) {
      const at = (<usize>c) << 2
      v128.store(to + at, f32x4.add(v128.load(to + at), v128.load(from + at)))
    }
    for (; c < C; c++) {
      const at = (<usize>c) << 2
      store<f32>(to + at, load<f32>(to + at) + load<f32>(from + at))
    }
  }
}
