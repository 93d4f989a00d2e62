// The position of the largest element of each row, the first of equals; NaN counts as the largest.

/** Whether x takes the place of best: larger, or the first NaN. */
@inline
function better(x: f32, best: f32): bool {
  return !(x <= best) && best == best
}

/** index [rows] i32 = argmax of sign·x [rows, cols]; sign −1 finds the smallest. */
export function argmax(x: usize, index: usize, rows: i32, cols: i32, sign: f32): void {
  for (let r = 0; r < rows; r++) {
    store<i32>(index, first_largest(x, cols, sign))
    x += <usize>cols << 2
    index += 4
  }
}

function first_largest(x: usize, n: i32, sign: f32): i32 {
  const signs = f32x4.splat(sign)
  let best = f32x4.splat(-Infinity)
  let position = i32x4.splat(0)
  let index = i32x4(0, 1, 2, 3)
  let i = 0
  for (; i <= n - 4; i += 4) {
    const v = f32x4.mul(signs, v128.load(x + (<usize>i << 2)))
    // Not (v <= best), so that a NaN wins; but nothing wins over a NaN.
    const wins = v128.andnot(f32x4.eq(best, best), f32x4.le(v, best))
    best = v128.bitselect(v, best, wins)
    position = v128.bitselect(index, position, wins)
    index = i32x4.add(index, i32x4.splat(4))
  }
  let value = f32x4.extract_lane(best, 0)
  let at = i32x4.extract_lane(position, 0)
  for (let lane = 1; lane < 4; lane++) {
    best = i8x16.shuffle(best, best, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3)
    position = i8x16.shuffle(position, position, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3)
    const other = f32x4.extract_lane(best, 0)
    const where = i32x4.extract_lane(position, 0)
    const equal = other == value || (other != other && value != value)
    if (equal ? where < at : better(other, value)) {
      value = other
      at = where
    }
  }
  for (; i < n; i++) {
    const v = sign * load<f32>(x + (<usize>i << 2))
    if (better(v, value)) {
      value = v
      at = i
    }
  }
  return at
}
