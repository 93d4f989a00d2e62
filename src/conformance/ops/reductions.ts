// How the cases of products, reductions, softmax and of moving elements are called: case op ->
// the outputs by name, from the case's arguments and input tensors.

import type { Tensor } from '../../core/tensor.ts'
import { amax } from '../../ops/amax.ts'
import { argmax } from '../../ops/argmax.ts'
import { cat } from '../../ops/cat.ts'
import { cumsum } from '../../ops/cumsum.ts'
import { expand } from '../../ops/expand.ts'
import { gather } from '../../ops/gather.ts'
import { indexSelect } from '../../ops/index_select.ts'
import { linear } from '../../ops/linear.ts'
import { logSoftmax } from '../../ops/log_softmax.ts'
import { logsumexp } from '../../ops/logsumexp.ts'
import { matmul } from '../../ops/matmul.ts'
import { type Extreme, max } from '../../ops/max.ts'
import { mean } from '../../ops/mean.ts'
import { min } from '../../ops/min.ts'
import { norm } from '../../ops/norm.ts'
import { permute } from '../../ops/permute.ts'
import { prod } from '../../ops/prod.ts'
import { reshape } from '../../ops/reshape.ts'
import { scatterAdd } from '../../ops/scatter_add.ts'
import { softmax } from '../../ops/softmax.ts'
import { std } from '../../ops/std.ts'
import { sum } from '../../ops/sum.ts'
import { transpose } from '../../ops/transpose.ts'
import { variance } from '../../ops/variance.ts'
import type { CallArguments, CallOutputs, OpCall } from './call.ts'

function extreme(found: Extreme | Tensor): CallOutputs {
  return 'values' in found ? { y: found.values, indices: found.indices } : { y: found }
}

/** PyTorch's `unbiased` is its older name of a correction by one, or by none. */
function spread({ unbiased, ...args }: CallArguments): CallArguments {
  return unbiased === undefined ? args : { ...args, correction: unbiased ? 1 : 0 }
}

export const reductionCalls: Readonly<Record<string, OpCall>> = {
  amax: (args, { x }) => ({ y: amax(x, args) }),
  argmax: (args, { x }) => ({ y: argmax(x, args) }),
  cat: (args, { d_y: _, ...parts }) => ({ y: cat(Object.values(parts), args) }),
  cumsum: (args, { x }) => ({ y: cumsum(x, args) }),
  expand: ({ shape }, { x }) => ({ y: expand(x, shape) }),
  gather: ({ dim }, { x, index }) => ({ y: gather(x, dim, index) }),
  index_select: ({ dim }, { x, index }) => ({ y: indexSelect(x, dim, index) }),
  linear: (_, { x, weight, bias }) => ({ y: linear(x, weight, bias) }),
  log_softmax: (args, { x }) => ({ y: logSoftmax(x, args) }),
  logsumexp: (args, { x }) => ({ y: logsumexp(x, args) }),
  matmul: (_, { a, b }) => ({ y: matmul(a, b) }),
  max: (args, { x }) => extreme('dim' in args ? max(x, args) : max(x)),
  mean: (args, { x }) => ({ y: mean(x, args) }),
  min: (args, { x }) => extreme('dim' in args ? min(x, args) : min(x)),
  norm: (args, { x }) => ({ y: norm(x, args) }),
  permute: ({ dims }, { x }) => ({ y: permute(x, dims) }),
  prod: (args, { x }) => ({ y: prod(x, args) }),
  reshape: ({ shape }, { x }) => ({ y: reshape(x, shape) }),
  scatter_add: ({ dim }, { x, index, src }) => ({ y: scatterAdd(x, dim, index, src) }),
  softmax: (args, { x }) => ({ y: softmax(x, args) }),
  std: (args, { x }) => ({ y: std(x, spread(args)) }),
  sum: (args, { x }) => ({ y: sum(x, args) }),
  transpose: ({ dim0, dim1 }, { x }) => ({ y: transpose(x, dim0, dim1) }),
  var: (args, { x }) => ({ y: variance(x, spread(args)) }),
}
