// What the initialisations that look at the base weight take and give: W [rows, cols] in f64 in the
// orientation of ΔW = s·B·A, that is [out, in] (an embedding's is [dim, rows of the table]), whatever
// the layer stores; and start matrices of rank r, the rows and columns that W has no directions for
// being zero.

import { LowrankError } from '../../core/errors.ts'
import { scoped } from '../../core/scope.ts'
import type { Adaptable } from '../../nn/adaptable.ts'
import type { ResolvedConfig } from '../config.ts'
import type { FactorDraws } from './index.ts'

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

/** Reads the weight of a layer. Throws a `backend` error where reading must wait. */
export function orientedWeight(base: Adaptable): OrientedWeight {
  const matrix = scoped(() => base.oriented(base.weight))
  return {
    data: Float64Array.from(matrix.dataSync()),
    rows: base.outFeatures,
    cols: base.inFeatures,
  }
}

/** Whether a configuration names this initialisation. */
export function asksFor(config: ResolvedConfig, name: string | RegExp): boolean {
  const { initLoraWeights: init } = config
  return typeof name === 'string' ? init === name : name.test(String(init))
}

/**
 * Why a layer cannot start from its weight, as the end of a sentence. PEFT starts embeddings as by
 * default then, without a word.
 */
export function kindRefusal(
  name: string,
  { kind }: Adaptable,
  kinds: readonly string[],
): string | undefined {
  return kinds.includes(kind)
    ? undefined
    : `is of the kind ${kind}, which "${name}" cannot start (exclude it, or choose another initialisation)`
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

/** Why a scaling will not do for starts that divide by it, or take its root. */
export function scalingRefusal(scaling: number): string | undefined {
  return scaling > 0 && Number.isFinite(scaling)
    ? undefined
    : `has a scaling of ${scaling}, expected one above 0 (choose a positive loraAlpha)`
}

/** Throws a `config` error for such a scaling. */
export function checkScaling(where: string, scaling: number): void {
  const reason = scalingRefusal(scaling)
  if (reason) {
    throw new LowrankError('config', `${where}: ${reason}`)
  }
}

/** Matrices that are there as draws. */
export function asDraws({ A, B }: StartMatrices): FactorDraws {
  return { A: () => A, B: () => B }
}
