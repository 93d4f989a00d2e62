// The loops of elementwise kernels, compiled once per formula F: a class with one inlined method
// `of`, which is never instantiated. It is how this compiler is told a function at compile time.
//   each            y[i] = F(x[i])
//   each_backward   dx[i] = F(kept[i], dy[i]), kept being what forward saved: x or y
// y and dx may be x or dy.

import { load_first, store_first } from './lanes'

@inline
export function each<F>(x: usize, y: usize, n: i32): void {
  for (let left = n; left > 0; left -= 4, x += 16, y += 16) {
    store_first(y, changetype<F>(0).of(load_first(x, left)), left)
  }
}

@inline
export function each_backward<F>(kept: usize, dy: usize, dx: usize, n: i32): void {
  for (let left = n; left > 0; left -= 4, kept += 16, dy += 16, dx += 16) {
    const v = changetype<F>(0).of(load_first(kept, left), load_first(dy, left))
    store_first(dx, v, left)
  }
}
