// What the initialisations that look at the base weight take and give: W [rows, cols] in f64 in the
// orientation of ΔW = s·B·A, that is [out, in] (an embedding's is [dim, rows of the table]), whatever
// the layer stores; and start matrices of rank r, the rows and columns that W has no directions for
// being zero.

import { LowrankError } from '../../core/errors.ts'
import { scoped } from '../../core/scope.ts'
import type { Adaptable } from '../../nn/adaptable.ts'

/** A base weight oriented [out, in]. */
export interface OrientedWeight {
  readonly data: Float64Array
  readonly rows: number
  readonly cols: number
}

/** A [r, cols] and B [rows, r]. */
export interface StartMatrices {
  readonly A: Float64Array
  readonly B: Float64Array
}

/** Fills A and B up with zeros from `k` directions to rank `r`. */
export function toRank(
  { A, B }: StartMatrices,
  { rows, cols }: OrientedWeight,
  k: number,
  r: number,
): StartMatrices {
  if (k === r) {
    return { A, B }
  }
  const wideA = new Float64Array(r * cols)
  wideA.set(A)
  const wideB = new Float64Array(rows * r)
  for (let row = 0; row < rows; row++) {
    wideB.set(B.subarray(row * k, (row + 1) * k), row * r)
  }
  return { A: wideA, B: wideB }
}

/** These starts divide by the scaling, or take its root. */
export function checkScaling(where: string, scaling: number): void {
  if (!(scaling > 0 && Number.isFinite(scaling))) {
    throw new LowrankError(
      'config',
      `${where}: expected a scaling above 0, got ${scaling} (choose a positive loraAlpha)`,
    )
  }
}

/** The weight of a layer in f64. Throws a `backend` error where reading must wait. */
export function orientedWeight(base: Adaptable): OrientedWeight {
  const matrix = scoped(() => base.oriented(base.weight))
  const [rows, cols] = matrix.shape
  return { data: Float64Array.from(matrix.dataSync()), rows, cols }
}
