// The panel layout of a frozen matrix W [O, I]: [ceil(O / 8)][I][8], the eight rows of a panel side
// by side, O padded with zeros, in W's own dtype. Element (o, i) lies at ((o / 8)·I + i)·8 + o % 8.
//   pack_panels     panels = W
//   unpack_panels   W = panels, widened to f32
//   gather_rows     y[n] = W[index[n]], widened to f32, from rows or panels (an embedding, tied or not)

import { BF16, element_size, F16, F32, load1, PANELS, widen } from './cast'

@inline
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

@inline
function unpack_as(format: i32, panels: usize, rows: usize, O: i32, I: i32): void {
  const size = <usize>element_size(format)
  const row = <usize>I << 2
  for (let o = 0; o < O; o++) {
    let x = panels + (<usize>(o >> 3) * <usize>I * 8 + <usize>(o & 7)) * size
    for (let i = 0; i < I; i++) {
      store<f32>(rows, load1(format, x))
      rows += 4
      x += 8 * size
    }
  }
}

/** rows [O, I] f32 = panels [ceil(O / 8)][I][8] in `format` (0 f32, 1 f16, 2 bf16; 4 may be added). */
export function unpack_panels(panels: usize, format: i32, rows: usize, O: i32, I: i32): void {
  format &= 3
  if (format == F32) {
    unpack_as(F32, panels, rows, O, I)
  } else if (format == F16) {
    unpack_as(F16, panels, rows, O, I)
  } else {
    unpack_as(BF16, panels, rows, O, I)
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
  const size = <usize>element_size(wFormat)
  for (let n = 0; n < count; n++) {
    const row = load<i32>(index + (<usize>n << 2))
    if (wFormat & PANELS) {
      const start = <usize>(row >> 3) * <usize>C * 8 + <usize>(row & 7)
      unpack_panels(w + start * size, wFormat, y, 1, C)
    } else {
      widen(w + <usize>row * <usize>C * size, wFormat, y, C)
    }
    y += <usize>C << 2
  }
}
