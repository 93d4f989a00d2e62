// Four lanes of an array of any length: the last vector of a row is loaded and stored lane by lane,
// so that nothing is read or written past its end, and a loop needs its formula only once.
//
// The partial ones are recursive because the compiler copies anything else into every kernel.

function load_part(x: usize, count: i32): v128 {
  if (count == 1) {
    return v128.load32_splat(x)
  }
  const rest = load_part(x + 4, count - 1)
  return v128.load_lane<f32>(x, v128.shuffle<f32>(rest, rest, 0, 0, 1, 2), 0)
}

function store_part(y: usize, v: v128, count: i32): void {
  v128.store_lane<f32>(y, v, 0)
  if (count > 1) {
    store_part(y + 4, v128.shuffle<f32>(v, v, 1, 2, 3, 3), count - 1)
  }
}

/** The first `count` (1 or more) of the four floats at `x`; lanes beyond it repeat the last of them. */
@inline
export function load_first(x: usize, count: i32): v128 {
  return count >= 4 ? v128.load(x) : load_part(x, count)
}

/** Writes the first `count` (1 or more) lanes to `y`. */
@inline
export function store_first(y: usize, v: v128, count: i32): void {
  if (count >= 4) {
    v128.store(y, v)
  } else {
    store_part(y, v, count)
  }
}
