// Several adapters on one layer become one, as factors A [r, cols], B [rows, r] with scaling 1.
// Every kind of layer is a matrix here: for Conv2d cols is in·kh·kw, for an embedding it is the number
// of rows. Combining factors is not combining products: Σ wᵢsᵢBᵢAᵢ is what `cat` and `svd` give,
// while `linear` gives (Σ √|wᵢsᵢ|·Bᵢ)·(Σ ±√|wᵢsᵢ|·Aᵢ), which has cross terms.
// Source: PEFT 0.21, `add_weighted_adapter`.

import { LowrankError } from '../../core/errors.ts'
import { hashName, Random } from '../../core/rng.ts'
import { mergeUpdates } from './arithmetic.ts'
import {
  type Factors,
  type MatrixShape,
  padded,
  product,
  refactor,
  refactorProduct,
  type ScaledFactors,
  stacked,
} from './low_rank.ts'
import type { CombineSettings } from './options.ts'

type Draw = (matrix: string) => (i: number) => Random

/** A and B each for itself; a negative weight turns the sign of A alone. */
function combineFactors(
  settings: CombineSettings,
  parts: readonly ScaledFactors[],
  draw: Draw,
): Factors {
  const factors = parts.map(({ weight, scaling }) => weight * scaling)
  const roots = factors.map(factor => Math.sqrt(Math.abs(factor)))
  const signed = roots.map((root, i) => (factors[i] >= 0 ? root : -root))
  const A = parts.map(part => part.A)
  const B = parts.map(part => part.B)
  return {
    A: mergeUpdates(settings, A, signed, draw('lora_A')),
    B: mergeUpdates(settings, B, roots, draw('lora_B')),
    r: parts[0].r,
  }
}

function combineProducts(
  settings: CombineSettings,
  parts: readonly ScaledFactors[],
  shape: MatrixShape,
  r: number,
  draw: Draw,
): Factors {
  if (settings.type === 'svd') {
    return refactorProduct(stacked(parts, shape), shape, r, settings.svdClamp)
  }
  const products = parts.map(part => product(part, shape))
  const weights = parts.map(({ weight }) => weight)
  const merged = mergeUpdates(settings, products, weights, draw('delta'))
  return refactor(merged, shape, r, settings.svdClamp)
}

function checkRanks(where: string, parts: readonly ScaledFactors[]): void {
  const ranks = parts.map(({ r }) => r)
  if (new Set(ranks).size > 1) {
    throw new LowrankError(
      'config',
      `${where}: expected one rank to add factors entry by entry, got ${ranks.join(', ')} ` +
        '(cat and svd take any)',
    )
  }
}

/** Combines the adapters that one layer has into factors of rank `r`. */
export function combineLayer(
  path: string,
  settings: CombineSettings,
  parts: readonly ScaledFactors[],
  shape: MatrixShape,
  r: number,
): Factors {
  const where = `combine: "${path}"`
  const draw: Draw = matrix => i =>
    new Random(settings.seed, hashName(`combine/${path}/${parts[i].name}/${matrix}`))
  switch (settings.rule.on) {
    case 'stack':
      return padded(stacked(parts, shape), shape, r)
    case 'factors':
      checkRanks(where, parts)
      return padded(combineFactors(settings, parts, draw), shape, r)
    case 'products':
      checkSvdRank(where, settings, shape)
      return combineProducts(settings, parts, shape, r, draw)
  }
}

function checkSvdRank(where: string, { svdRank }: CombineSettings, shape: MatrixShape): void {
  const least = Math.min(shape.rows, shape.cols)
  if ((svdRank ?? 0) > least) {
    throw new LowrankError(
      'config',
      `${where}: is [${shape.rows}, ${shape.cols}], so it has ${least} singular values, got ` +
        `svdRank ${svdRank} (choose at most ${least})`,
    )
  }
}
