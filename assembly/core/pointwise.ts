// The loops of elementwise kernels, compiled once per formula F: a class with one inlined method
// `of`, which is never instantiated. It is how this compiler is told a function at compile time.
//   each, each_short                     y[i] = F(x[i])
//   each_backward, each_backward_short   dx[i] = F(kept[i], dy[i]), kept being what forward saved
// y may be x; dx may be kept or dy. The short ones hold the formula twice, in a loop without partial loads:
// three times as fast for an instruction or two, no faster for a transcendental function.

import { load_first, store_first } from './lanes'

@inline
export function each<F>(x: usize, y: usize, n: i32): void {
  for (let left = n; left > 0; left -= 4, x += 16, y += 16) {
    store_first(y, changetype<F>(0).of(load_first(x, left)), left)
  }
}

@inline
export function each_short<F>(x: usize, y: usize, n: i32): void {
  for (; n >= 4; n -= 4, x += 16, y += 16) {
    v128.store(y, changetype<F>(0).of(v128.load(x)))
  }
  each<F>(x, y, n)
}

@inline
export function each_backward<F>(kept: usize, dy: usize, dx: usize, n: i32): void {
  for (let left = n; left > 0; left -= 4, kept += 16, dy += 16, dx += 16) {
    const v = changetype<F>(0).of(load_first(kept, left), load_first(dy, left))
    store_first(dx, v, left)
  }
}

@inline
export function each_backward_short<F>(kept: usize, dy: usize, dx: usize, n: i32): void {
  for (; n >= 4; n -= 4, kept += 16, dy += 16, dx += 16) {
    v128.store(dx, changetype<F>(0).of(v128.load(kept), v128.load(dy)))
  }
  each_backward<F>(kept, dy, dx, n)
}
