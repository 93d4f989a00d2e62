// Principal components of rows that come in batches: the components so far, weighted by their
// singular values, stand for all rows before. For a batch X [n, d] with mean x̄ the rows
//   diag(s)·V   |   X − x̄   |   √(N·n / (N + n))·(m − x̄)
// are decomposed, where V [k, d], s [k] and the mean m are of the N rows before; the largest k
// singular values with their vectors are the new ones.
// Of more than 96 rows and columns the decomposition is a randomised one, with twice as many directions
// as are kept and four rounds, as in PEFT.
// Source: Ross, Lim, Lin and Yang, "Incremental learning for robust visual tracking" (2008),
// section 3.1, as in scikit-learn's IncrementalPCA.

import { LowrankError } from '../core/errors.ts'
import { Random } from '../core/rng.ts'
import { randomizedSvd } from './randomized.ts'
import { isLarge, type Svd, svd } from './svd.ts'

/** Turns each row so that its largest entry is positive: a singular vector has no sign of its own. */
function fixSigns(rows: Float64Array, cols: number): Float64Array {
  for (let from = 0; from < rows.length; from += cols) {
    const row = rows.subarray(from, from + cols)
    const largest = row.reduce(
      (best, value, c) => (Math.abs(value) > Math.abs(row[best]) ? c : best),
      0,
    )
    if (row[largest] < 0) {
      row.forEach((value, c) => {
        row[c] = -value
      })
    }
  }
  return rows
}

function meanOf(x: Float64Array, rows: number, cols: number): Float64Array {
  const mean = new Float64Array(cols)
  x.forEach((value, at) => {
    mean[at % cols] += value / rows
  })
  return mean
}

/** At least the first `count` singular values, with their vectors. */
function leading(a: Float64Array, rows: number, cols: number, count: number): Svd {
  if (!isLarge(rows, cols)) {
    return svd(a, rows, cols)
  }
  const k = Math.min(2 * count, rows, cols)
  return randomizedSvd(a, rows, cols, k, { iterations: 4, random: new Random(0, 'pca') })
}

const squares = (x: Float64Array): number => x.reduce((sum, value) => sum + value * value, 0)

/** The `count` first principal components of everything that `fit` was given. */
export class IncrementalPca {
  readonly count: number
  readonly cols: number
  /** [count, cols], by falling singular value; empty before the first batch. */
  components: Float64Array = new Float64Array(0)
  /** [count]. */
  singularValues: Float64Array = new Float64Array(0)
  #seen = 0
  #mean: Float64Array
  /** The sum of squared distances from the mean. */
  #spread = 0

  /** Throws `argument` for more components than columns. */
  constructor(count: number, cols: number) {
    if (count > cols || count < 1) {
      throw new LowrankError(
        'argument',
        `IncrementalPca: expected 1 to ${cols} components of rows of ${cols}, got ${count}`,
      )
    }
    this.count = count
    this.cols = cols
    this.#mean = new Float64Array(cols)
  }

  /** The share of the variance that each component explains. */
  get explained(): Float64Array {
    return this.singularValues.map(value => (this.#spread > 0 ? (value * value) / this.#spread : 0))
  }

  /** Takes in a batch [rows, cols] with at least as many rows as there are components. */
  fit(batch: Float64Array, rows: number): void {
    const { cols, count } = this
    const mean = meanOf(batch, rows, cols)
    const shift = this.#mean.map((value, c) => value - mean[c])
    const pull = (this.#seen * rows) / (this.#seen + rows)
    const before = this.singularValues.length
    const extra = this.#seen > 0 ? 1 : 0
    const work = new Float64Array((before + rows + extra) * cols)
    work.set(this.components.map((v, at) => v * this.singularValues[Math.floor(at / cols)]))
    const centred = batch.map((value, at) => value - mean[at % cols])
    work.set(centred, before * cols)
    if (extra) {
      const root = Math.sqrt(pull)
      work.set(
        shift.map(value => value * root),
        (before + rows) * cols,
      )
    }
    const { s, vt } = leading(work, before + rows + extra, cols, count)
    this.components = fixSigns(vt.slice(0, count * cols), cols)
    this.singularValues = s.slice(0, count)
    this.#spread += squares(centred) + pull * squares(shift)
    this.#mean = this.#mean.map((value, c) => value - (shift[c] * rows) / (this.#seen + rows))
    this.#seen += rows
  }
}
