// Where the gradient of a kept tensor goes: over the tensor itself if the tape alone owns it and holds
// it for this op alone, for then nothing can read it afterwards. It halves what backward needs for the
// widest activations. Only for kernels that read an element before they write it.

import type { OpContext } from '../core/op.ts'
import { Tensor } from '../core/tensor.ts'

/** Room for a gradient of the shape of `kept`, which backward has received as saved. */
export function gradientRoom<K>(context: OpContext<K>, kept: Tensor): Tensor {
  const { owner, holds, dtype } = kept.storage
  const free = owner === 'tape' && holds === 1 && dtype === 'float32'
  return free ? new Tensor(kept.storage, kept.shape) : context.empty(kept.shape)
}
