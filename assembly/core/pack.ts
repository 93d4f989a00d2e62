// Packing of the right operand of a product into f32 panels [K][8]: eight columns of the product side
// by side, k ascending, so that the register tile reads one straight stream.
// A panel of fewer than eight columns repeats its last column or leaves the rest as it was: those
// lanes are computed and never stored.

import {
  Brain,
  element_size,
  F16,
  F32,
  Half,
  load1,
  load4,
  high,
  load8,
  low,
  PANELS,
  widen,
} from './cast'

/** Stores the transpose of four rows of four into a strip [4][4], or into half a panel [4][8]. */
@inline
export function store_transposed(panel: bool, r0: v128, r1: v128, r2: v128, r3: v128, out: usize): void {
  const low01 = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5)
  const low23 = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5)
  const high01 = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7)
  const high23 = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7)
  const k0 = v128.shuffle<f64>(low01, low23, 0, 2)
  const k1 = v128.shuffle<f64>(low01, low23, 1, 3)
  const k2 = v128.shuffle<f64>(high01, high23, 0, 2)
  const k3 = v128.shuffle<f64>(high01, high23, 1, 3)
  v128.store(out, k0)
  if (panel) {
    v128.store(out, k1, 32)
    v128.store(out, k2, 64)
    v128.store(out, k3, 96)
  } else {
    v128.store(out, k1, 16)
    v128.store(out, k2, 32)
    v128.store(out, k3, 48)
  }
}

/**
 * Half a panel, four of eight columns, from `count` rows of K elements, `step` bytes apart, of which
 * each eighth element lies `next` bytes after the one before. Eight rows at once were slower.
 */
function pack_half<T>(b: usize, step: usize, next: usize, count: i32, K: i32, out: usize): void {
  const half = 4 * sizeof<T>()
  let row0 = b
  let row1 = b + <usize>min(1, count - 1) * step
  let row2 = b + <usize>min(2, count - 1) * step
  let row3 = b + <usize>min(3, count - 1) * step
  for (let k = 8; k <= K; k += 8) {
    store_transposed(true, load4<T>(row0), load4<T>(row1), load4<T>(row2), load4<T>(row3), out)
    store_transposed(
      true,
      load4<T>(row0 + half),
      load4<T>(row1 + half),
      load4<T>(row2 + half),
      load4<T>(row3 + half),
      out + 128,
    )
    out += 256
    row0 += next
    row1 += next
    row2 += next
    row3 += next
  }
  for (let k = K & ~7; k < K; k++) {
    for (let lane = 0; lane < count; lane++) {
      store<f32>(out + ((<usize>lane) << 2), load1<T>(row0 + <usize>lane * step))
    }
    out += 32
    row0 += sizeof<T>()
  }
}

/**
 * A panel [K][8] from `count` <= 8 rows of K elements, `step` bytes apart, of which each eighth
 * element lies `next` bytes after the one before: 8 elements where rows are contiguous.
 */
export function pack_rows<T>(
  b: usize,
  step: usize,
  next: usize,
  count: i32,
  K: i32,
  out: usize,
): void {
  pack_half<T>(b, step, next, min(4, count), K, out)
  if (count > 4) {
    pack_half<T>(b + 4 * step, step, next, count - 4, K, out + 16)
  }
}

/** One k of eight columns. */
@inline
function pack8<T>(b: usize, out: usize): void {
  const halves = load8<T>(b)
  v128.store(out, low<T>(b, halves))
  v128.store(out, high<T>(b, halves), 16)
}

/** A panel [K][8] from `count` <= 8 columns of K rows, `step` bytes apart. */
export function pack_columns<T>(b: usize, step: usize, count: i32, K: i32, out: usize): void {
  if (count == 8) {
    for (let k = 0; k < K; k++) {
      pack8<T>(b, out)
      out += 32
      b += step
    }
    return
  }
  for (let k = 0; k < K; k++) {
    for (let lane = 0; lane < count; lane++) {
      store<f32>(out + ((<usize>lane) << 2), load1<T>(b + <usize>lane * sizeof<T>()))
    }
    out += 32
    b += step
  }
}

// From panels of B [K, N] the panels of a group are packed together, so many k at a time: they lie
// side by side there.
const CHUNK: i32 = 32

/** Panels of `columns` columns of B [K, N] from b, `panel` bytes apart. */
function pack_nn_rows<T>(
  b: usize,
  bStep: usize,
  columns: i32,
  K: i32,
  panel: usize,
  out: usize,
): void {
  const full = columns >> 3
  let k = 0
  // Two k at a time write a whole cache line of a panel.
  for (; k < (K & ~1); k += 2) {
    let row0 = b + <usize>k * bStep
    let row1 = row0 + bStep
    let to = out + ((<usize>k) << 5)
    for (let n = 0; n < full; n++) {
      pack8<T>(row0, to)
      pack8<T>(row1, to + 32)
      row0 += 8 * sizeof<T>()
      row1 += 8 * sizeof<T>()
      to += panel
    }
  }
  if (k < K) {
    const row = b + <usize>k * bStep
    for (let n = 0; n < full; n++) {
      pack8<T>(row + <usize>(n << 3) * sizeof<T>(), out + <usize>n * panel + ((<usize>k) << 5))
    }
  }
  if (columns & 7) {
    pack_columns<T>(
      b + <usize>(full << 3) * sizeof<T>(),
      bStep,
      columns & 7,
      K,
      out + <usize>full * panel,
    )
  }
}

/** Panels of `columns` columns of B [K, N] from panels of B [K, N], `panel` bytes apart. */
function pack_nn_panels<T>(
  b: usize,
  bStep: usize,
  columns: i32,
  K: i32,
  panel: usize,
  out: usize,
): void {
  for (let k = 0; k < K; k += CHUNK) {
    const row = b + <usize>k * bStep
    let to = out + ((<usize>k) << 5)
    for (let n = 0; n < columns; n += 8) {
      const from = row + <usize>(n << 3) * sizeof<T>()
      pack_rows<T>(from, 8 * sizeof<T>(), 8 * bStep, min(8, columns - n), min(CHUNK, K - k), to)
      to += panel
    }
  }
}

/** Panels of `columns` columns of B [N, K]ᵀ from b, `panel` bytes apart, from rows or from panels of B. */
function pack_nt<T>(
  panels: bool,
  b: usize,
  bStep: usize,
  columns: i32,
  K: i32,
  panel: usize,
  out: usize,
): void {
  for (let n = 0; n < columns; n += 8) {
    if (panels) {
      widen(b, isSigned<T>() ? 2 : 1, out, K << 3)
    } else {
      pack_rows<T>(b, bStep, 8 * sizeof<T>(), min(8, columns - n), K, out)
    }
    b += 8 * bStep
    out += panel
  }
}

function pack_as<T>(
  nt: bool,
  panels: bool,
  b: usize,
  bStep: usize,
  columns: i32,
  K: i32,
  panel: usize,
  out: usize,
): void {
  if (nt) {
    pack_nt<T>(panels, b, bStep, columns, K, panel, out)
  } else if (panels) {
    pack_nn_panels<T>(b, bStep, columns, K, panel, out)
  } else {
    pack_nn_rows<T>(b, bStep, columns, K, panel, out)
  }
}

/**
 * Panels [K][8], `panel` bytes apart, of `columns` columns of B [N, K]ᵀ (nt) or B [K, N] in `format`;
 * b is the byte at which they begin, bStep the bytes of a stored row.
 */
export function pack_b(
  nt: bool,
  format: i32,
  b: usize,
  bStep: usize,
  columns: i32,
  K: i32,
  panel: usize,
  out: usize,
): void {
  const dtype = format & 3
  const panels = (format & PANELS) != 0
  if (dtype == F32) {
    pack_as<f32>(nt, panels, b, bStep, columns, K, panel, out)
  } else if (dtype == F16) {
    pack_as<Half>(nt, panels, b, bStep, columns, K, panel, out)
  } else {
    pack_as<Brain>(nt, panels, b, bStep, columns, K, panel, out)
  }
}
