// The ladder of the matmul: C [M, N] = A [M, K] · B [N, K]ᵀ in f32, from three plain loops to register
// tiles over panels of B. AssemblyScript, compiled by the bench; M a multiple of 60, N of 8, K of 4.

/** Three loops, one product at a time. */
export function scalar(a: usize, b: usize, c: usize, M: i32, N: i32, K: i32): void {
  for (let m = 0; m < M; m++) {
    for (let n = 0; n < N; n++) {
      let sum: f32 = 0
      for (let k = 0; k < K; k++) {
        sum += load<f32>(a + ((m * K + k) << 2)) * load<f32>(b + ((n * K + k) << 2))
      }
      store<f32>(c + ((m * N + n) << 2), sum)
    }
  }
}

@inline
function multiply_add(sum: v128, x: v128, y: v128): v128 {
  return f32x4.add(sum, f32x4.mul(x, y))
}

@inline
function lanes(x: v128): f32 {
  const low = f32x4.extract_lane(x, 0) + f32x4.extract_lane(x, 1)
  return low + f32x4.extract_lane(x, 2) + f32x4.extract_lane(x, 3)
}

/** Two rows by four columns, the lanes across k: no packing, but another order of summation. */
export function lanes_across_k(a: usize, b: usize, c: usize, M: i32, N: i32, K: i32): void {
  const row = K << 2
  for (let m = 0; m < M; m += 2) {
    for (let n = 0; n < N; n += 4) {
      let s00 = f32x4.splat(0)
      let s01 = s00
      let s02 = s00
      let s03 = s00
      let s10 = s00
      let s11 = s00
      let s12 = s00
      let s13 = s00
      let x = a + m * row
      let y = b + n * row
      for (let k = 0; k < K; k += 4) {
        const x0 = v128.load(x)
        const x1 = v128.load(x + row)
        let z = v128.load(y)
        s00 = multiply_add(s00, x0, z)
        s10 = multiply_add(s10, x1, z)
        z = v128.load(y + row)
        s01 = multiply_add(s01, x0, z)
        s11 = multiply_add(s11, x1, z)
        z = v128.load(y + 2 * row)
        s02 = multiply_add(s02, x0, z)
        s12 = multiply_add(s12, x1, z)
        z = v128.load(y + 3 * row)
        s03 = multiply_add(s03, x0, z)
        s13 = multiply_add(s13, x1, z)
        x += 16
        y += 16
      }
      const to = c + ((m * N + n) << 2)
      v128.store(to, f32x4(lanes(s00), lanes(s01), lanes(s02), lanes(s03)))
      v128.store(to + (N << 2), f32x4(lanes(s10), lanes(s11), lanes(s12), lanes(s13)))
    }
  }
}

/** Four columns at once from B as it is: each vector of B is put together from four rows. */
export function unpacked(a: usize, b: usize, c: usize, M: i32, N: i32, K: i32): void {
  const row = K << 2
  for (let m = 0; m < M; m++) {
    for (let n = 0; n < N; n += 4) {
      let sum = f32x4.splat(0)
      for (let k = 0; k < K; k++) {
        const at = b + ((n * K + k) << 2)
        let y = v128.load32_zero(at)
        y = v128.load_lane<f32>(at + row, y, 1)
        y = v128.load_lane<f32>(at + 2 * row, y, 2)
        y = v128.load_lane<f32>(at + 3 * row, y, 3)
        sum = multiply_add(sum, v128.load32_splat(a + ((m * K + k) << 2)), y)
      }
      v128.store(c + ((m * N + n) << 2), sum)
    }
  }
}

@inline
function store_row(c: usize, low: v128, high: v128): void {
  v128.store(c, low)
  v128.store(c, high, 16)
}

/** Tiles of R rows by one panel; the rows of a step in ascending or descending order. */
@inline
function tiles(R: i32, descending: bool, a: usize, b: usize, c: usize, M: i32, N: i32, K: i32): void {
  const row = K << 2
  for (let n = 0; n < N; n += 8) {
    for (let m = 0; m < M; m += R) {
      let s00 = f32x4.splat(0)
      let s01 = s00
      let s10 = s00
      let s11 = s00
      let s20 = s00
      let s21 = s00
      let s30 = s00
      let s31 = s00
      let s40 = s00
      let s41 = s00
      let s50 = s00
      let s51 = s00
      let a0 = a + m * row
      let a1 = a0 + row
      let a2 = a1 + row
      let a3 = a2 + row
      let a4 = a3 + row
      let a5 = a4 + row
      let panel = b + n * row
      for (let k = 0; k < K; k++) {
        const y0 = v128.load(panel)
        const y1 = v128.load(panel, 16)
        if (!descending) {
          const x = v128.load32_splat(a0)
          s00 = multiply_add(s00, x, y0)
          s01 = multiply_add(s01, x, y1)
        }
        if (!descending && R > 1) {
          const x = v128.load32_splat(a1)
          s10 = multiply_add(s10, x, y0)
          s11 = multiply_add(s11, x, y1)
        }
        if (!descending && R > 2) {
          const x = v128.load32_splat(a2)
          s20 = multiply_add(s20, x, y0)
          s21 = multiply_add(s21, x, y1)
        }
        if (R > 5) {
          const x = v128.load32_splat(a5)
          s50 = multiply_add(s50, x, y0)
          s51 = multiply_add(s51, x, y1)
        }
        if (descending && R > 4) {
          const x = v128.load32_splat(a4)
          s40 = multiply_add(s40, x, y0)
          s41 = multiply_add(s41, x, y1)
        }
        if (R > 3) {
          const x = v128.load32_splat(a3)
          s30 = multiply_add(s30, x, y0)
          s31 = multiply_add(s31, x, y1)
        }
        if (!descending && R > 4) {
          const x = v128.load32_splat(a4)
          s40 = multiply_add(s40, x, y0)
          s41 = multiply_add(s41, x, y1)
        }
        if (descending && R > 2) {
          const x = v128.load32_splat(a2)
          s20 = multiply_add(s20, x, y0)
          s21 = multiply_add(s21, x, y1)
        }
        if (descending && R > 1) {
          const x = v128.load32_splat(a1)
          s10 = multiply_add(s10, x, y0)
          s11 = multiply_add(s11, x, y1)
        }
        if (descending) {
          const x = v128.load32_splat(a0)
          s00 = multiply_add(s00, x, y0)
          s01 = multiply_add(s01, x, y1)
        }
        panel += 32
        a0 += 4
        a1 += 4
        a2 += 4
        a3 += 4
        a4 += 4
        a5 += 4
      }
      const to = c + ((m * N + n) << 2)
      const next = N << 2
      store_row(to, s00, s01)
      if (R > 1) store_row(to + next, s10, s11)
      if (R > 2) store_row(to + 2 * next, s20, s21)
      if (R > 3) store_row(to + 3 * next, s30, s31)
      if (R > 4) store_row(to + 4 * next, s40, s41)
      if (R > 5) store_row(to + 5 * next, s50, s51)
    }
  }
}

export function tile_1x8(a: usize, b: usize, c: usize, M: i32, N: i32, K: i32): void {
  tiles(1, true, a, b, c, M, N, K)
}

export function tile_2x8(a: usize, b: usize, c: usize, M: i32, N: i32, K: i32): void {
  tiles(2, true, a, b, c, M, N, K)
}

export function tile_4x8(a: usize, b: usize, c: usize, M: i32, N: i32, K: i32): void {
  tiles(4, true, a, b, c, M, N, K)
}

export function tile_5x8_ascending(a: usize, b: usize, c: usize, M: i32, N: i32, K: i32): void {
  tiles(5, false, a, b, c, M, N, K)
}

export function tile_5x8(a: usize, b: usize, c: usize, M: i32, N: i32, K: i32): void {
  tiles(5, true, a, b, c, M, N, K)
}

export function tile_6x8(a: usize, b: usize, c: usize, M: i32, N: i32, K: i32): void {
  tiles(6, true, a, b, c, M, N, K)
}
