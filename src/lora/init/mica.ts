// MiCA: B starts as the left singular vectors of W [out, in] that belong to its r smallest singular
// values, and stays; A starts as zero and is all that is trained.
// Source: "MiCA: minor component adaptation" (arXiv 2604.01694); PEFT 0.21, `mica_init`.

import { LowrankError } from '../../core/errors.ts'
import { trailingSvd } from '../../linalg/partial.ts'
import type { Extension } from '../extension.ts'
import {
  asDraws,
  asksFor,
  kindRefusal,
  type OrientedWeight,
  orientedWeight,
  type StartMatrices,
} from './oriented.ts'

function rankRefusal(rows: number, cols: number, r: number): string | undefined {
  const most = Math.min(rows, cols)
  return r > most
    ? `is [${rows}, ${cols}], which has ${most} singular vectors for "mica", got r ${r} (choose at most ${most})`
    : undefined
}

/** Throws `config` for a rank that W has no directions for. */
export function mica({ data, rows, cols }: OrientedWeight, r: number): StartMatrices {
  const reason = rankRefusal(rows, cols, r)
  if (reason) {
    throw new LowrankError('config', `mica: the weight ${reason}`)
  }
  return { A: new Float64Array(r * cols), B: trailingSvd(data, rows, cols, r).u }
}

/** `initLoraWeights: 'mica'`. */
export const micaStart: Extension = {
  name: 'mica',
  initialisations: ['mica'],
  frozen: config => (asksFor(config, 'mica') ? 'B' : undefined),
  refusal: (config, { base, r }) =>
    asksFor(config, 'mica')
      ? (kindRefusal('mica', base, ['linear', 'conv1d', 'embedding']) ??
        rankRefusal(base.outFeatures, base.inFeatures, r))
      : undefined,
  initialise(config, { base, r }) {
    if (!asksFor(config, 'mica')) {
      return undefined
    }
    return asDraws(mica(orientedWeight(base), r))
  },
}
