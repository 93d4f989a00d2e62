// OLoRA: with W [out, in] = Q·R, the adapter starts as the first r columns of Q and rows of R,
// B = Q[:, :r], A = R[:r], and s·B·A is taken from the base.
// Source: Büyükakyüz 2024, "OLoRA" (arXiv 2406.01775), section 3; PEFT 0.21, `olora_init` (which
// forgets that GPT-2's Conv1D stores Wᵀ).

import { qr } from '../../linalg/qr.ts'
import type { Extension } from '../extension.ts'
import {
  asDraws,
  asksFor,
  checkScaling,
  kindRefusal,
  type OrientedWeight,
  orientedWeight,
  type StartMatrices,
  scalingRefusal,
  toRank,
} from './oriented.ts'

/** Throws `config` for a scaling that is not positive. */
export function olora(weight: OrientedWeight, r: number, scaling: number): StartMatrices {
  checkScaling('olora', scaling)
  const { data, rows, cols } = weight
  const k = Math.min(r, rows, cols)
  const factors = qr(data, rows, cols, k)
  return toRank({ A: factors.r, B: factors.q }, weight, k, r)
}

/** PEFT takes it in any case. */
const NAME = /^olora$/i

/** `initLoraWeights: 'olora'`. */
export const oloraStart: Extension = {
  name: 'olora',
  initialisations: [NAME],
  refusal: (config, { base, scaling }) =>
    asksFor(config, NAME)
      ? (kindRefusal('olora', base, ['linear', 'conv1d']) ?? scalingRefusal(scaling))
      : undefined,
  takenFromBase: (config, { base, r, scaling }) =>
    asksFor(config, NAME) ? asDraws(olora(orientedWeight(base), r, scaling)) : undefined,
}
