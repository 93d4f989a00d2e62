// The panel layout of a frozen matrix W [O, I]: [ceil(O / 8)][I][8], the eight rows of a panel side
// by side, O padded with zeros, in W's own dtype. Element (o, i) lies at ((o / 8)·I + i)·8 + o % 8.
//   pack_panels     panels = W
//   unpack_panels   W = panels, widened to f32
//   gather_rows     y[n] = W[index[n]], widened to f32, from rows or panels (an embedding, tied or not)

import { Brain, element_size, F16, F32, Half, load1, PANELS, widen } from './cast'

function pack_as<T>(w: usize, panels: usize, O: i32, I: i32): void {
  const row = <usize>I * sizeof<T>()
  for (let o = 0; o < O; o += 8) {
    const rows = min(8, O - o)
    for (let i = 0; i < I; i++) {
      let element = w + <usize>i * sizeof<T>()
      for (let lane = 0; lane < rows; lane++) {
        store<T>(panels + <usize>lane * sizeof<T>(), load<T>(element))
        element += row
      }
      for (let lane = rows; lane < 8; lane++) {
        store<T>(panels + <usize>lane * sizeof<T>(), <T>0)
      }
      panels += 8 * sizeof<T>()
    }
    w += 8 * row
  }
}

/** panels [ceil(O / 8)][I][8] = w [O, I], both in `wFormat` (0 f32, 1 f16, 2 bf16). */
export function pack_panels(w: usize, wFormat: i32, panels: usize, O: i32, I: i32): void {
  if (wFormat == F32) {
    pack_as<u32>(w, panels, O, I)
  } else {
    pack_as<u16>(w, panels, O, I)
  }
}

/** One row of `I` elements, eight elements apart. */
function unpack_row<T>(x: usize, row: usize, I: i32): void {
  for (let i = 0; i < I; i++) {
    store<f32>(row, load1<T>(x))
    row += 4
    x += 8 * sizeof<T>()
  }
}

/** row [I] f32 = row o of panels in `format`. */
function unpack(panels: usize, format: i32, o: i32, row: usize, I: i32): void {
  const x = panels + (<usize>(o >> 3) * <usize>I * 8 + <usize>(o & 7)) * element_size(format)
  const dtype = format & 3
  if (dtype == F32) {
    unpack_row<f32>(x, row, I)
  } else if (dtype == F16) {
    unpack_row<Half>(x, row, I)
  } else {
    unpack_row<Brain>(x, row, I)
  }
}

/** rows [O, I] f32 = panels [ceil(O / 8)][I][8] in `format` (0 f32, 1 f16, 2 bf16; 4 may be added). */
export function unpack_panels(panels: usize, format: i32, rows: usize, O: i32, I: i32): void {
  for (let o = 0; o < O; o++) {
    unpack(panels, format, o, rows, I)
    rows += (<usize>I) << 2
  }
}

/** y [count, C] f32 = the rows index[0 … count − 1] of w [V, C] in `wFormat`, 4 added for panels. */
export function gather_rows(
  w: usize,
  wFormat: i32,
  index: usize,
  y: usize,
  count: i32,
  V: i32,
  C: i32,
): void {
  for (let n = 0; n < count; n++) {
    const row = load<i32>(index + ((<usize>n) << 2))
    if (wFormat & PANELS) {
      unpack(w, wFormat, row, y, C)
    } else {
      widen(w + <usize>row * <usize>C * element_size(wFormat), wFormat, y, C)
    }
    y += (<usize>C) << 2
  }
}
