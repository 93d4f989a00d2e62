// Small matrices in float64, { rows, cols, data }, by the schoolbook loops.

export function matrix(rows, cols, at) {
  const data = Array.from({ length: rows * cols }, (_, i) => at(Math.floor(i / cols), i % cols))
  return { rows, cols, data }
}

/** The matrix of a tensor: its last axis are the columns. */
export function fromTensor({ shape, data }) {
  const cols = shape[shape.length - 1]
  return { rows: data.length / cols, cols, data }
}

export const transpose = ({ rows, cols, data }) => matrix(cols, rows, (i, j) => data[j * cols + i])

export function multiply(a, b) {
  return matrix(a.rows, b.cols, (i, j) => {
    let sum = 0
    for (let k = 0; k < a.cols; k++) {
      sum += a.data[i * a.cols + k] * b.data[k * b.cols + j]
    }
    return sum
  })
}

export const map = (a, fn) => matrix(a.rows, a.cols, (i, j) => fn(a.data[i * a.cols + j], i, j))

export const scale = (a, factor) => map(a, value => value * factor)

export const add = (a, b) => map(a, (value, i, j) => value + b.data[i * b.cols + j])

export const times = (a, b) => map(a, (value, i, j) => value * b.data[i * b.cols + j])

/** Adds a vector to every row. */
export const addRow = (a, row) => map(a, (value, _, j) => value + row[j])

/** Multiplies every row, element by element. */
export const timesRow = (a, row) => map(a, (value, _, j) => value * row[j])

/** Sums over the rows [cols]. */
export const columnSums = a =>
  Array.from({ length: a.cols }, (_, j) =>
    Array.from({ length: a.rows }, (_, i) => a.data[i * a.cols + j]).reduce((x, y) => x + y, 0),
  )

/** The length of every row. */
export const rowNorms = a =>
  Array.from({ length: a.rows }, (_, i) =>
    Math.sqrt(a.data.slice(i * a.cols, (i + 1) * a.cols).reduce((sum, v) => sum + v * v, 0)),
  )

/** Sylvester's matrix of n = 2ᵏ: ±1, rows and columns orthogonal. */
export function hadamard(n) {
  const sign = (i, j) => {
    let bits = i & j
    let odd = 1
    for (; bits > 0; bits &= bits - 1) {
      odd = -odd
    }
    return odd
  }
  return matrix(n, n, sign)
}

export const columns = (a, first, count) =>
  matrix(a.rows, count, (i, j) => a.data[i * a.cols + first + j])

/** One sweep of plane rotations makes the columns of `a` more orthogonal; `v` turns along. */
function sweep(a, v) {
  let off = 0
  for (let p = 0; p < a.cols; p++) {
    for (let q = p + 1; q < a.cols; q++) {
      off = Math.max(off, rotate(a, v, p, q))
    }
  }
  return off
}

function rotate(a, v, p, q) {
  let [alpha, beta, gamma] = [0, 0, 0]
  for (let i = 0; i < a.rows; i++) {
    const [x, y] = [a.data[i * a.cols + p], a.data[i * a.cols + q]]
    alpha += x * x
    beta += y * y
    gamma += x * y
  }
  if (gamma === 0) {
    return 0
  }
  const zeta = (beta - alpha) / (2 * gamma)
  const t = (zeta < 0 ? -1 : 1) / (Math.abs(zeta) + Math.sqrt(1 + zeta * zeta))
  const c = 1 / Math.sqrt(1 + t * t)
  for (const m of [a, v]) {
    for (let i = 0; i < m.rows; i++) {
      const [x, y] = [m.data[i * m.cols + p], m.data[i * m.cols + q]]
      m.data[i * m.cols + p] = c * x - c * t * y
      m.data[i * m.cols + q] = c * t * x + c * y
    }
  }
  return Math.abs(gamma) / Math.sqrt(alpha * beta)
}

/**
 * The nearest matrix of rank r (Eckart and Young 1936), by one-sided Jacobi rotations: a·V has
 * orthogonal columns, of which the r longest stay.
 */
export function nearestOfRank(a, r) {
  if (a.rows < a.cols) {
    return transpose(nearestOfRank(transpose(a), r))
  }
  const turned = { ...a, data: [...a.data] }
  const v = matrix(a.cols, a.cols, (i, j) => (i === j ? 1 : 0))
  for (let i = 0; i < 60 && sweep(turned, v) > 1e-15; i++);
  const lengths = rowNorms(transpose(turned))
  const kept = [...lengths].sort((x, y) => y - x).slice(0, r)
  const cut = map(turned, (value, _, j) => (kept.includes(lengths[j]) ? value : 0))
  return multiply(cut, transpose(v))
}
