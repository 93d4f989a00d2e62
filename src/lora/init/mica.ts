// MiCA: B starts as the left singular vectors of W [out, in] that belong to its r smallest singular
// values, and stays; A starts as zero and is all that is trained.
// Source: "MiCA: minor component adaptation" (arXiv 2604.01694); PEFT 0.21, `mica_init`.

import { LowrankError } from '../../core/errors.ts'
import { trailingSvd } from '../../linalg/partial.ts'
import type { OrientedWeight, StartMatrices } from './oriented.ts'

/** Throws `config` for a rank that W has no directions for. */
export function mica({ data, rows, cols }: OrientedWeight, r: number): StartMatrices {
  const most = Math.min(rows, cols)
  if (r > most) {
    throw new LowrankError(
      'config',
      `mica: a weight of [${rows}, ${cols}] has ${most} singular vectors, got r ${r} (choose at most ${most})`,
    )
  }
  return { A: new Float64Array(r * cols), B: trailingSvd(data, rows, cols, r).u }
}
