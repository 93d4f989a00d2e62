// How the cases of elementwise ops and losses are called: case op -> the outputs by name, from
// the case's arguments and input tensors.

import { abs } from '../../ops/abs.ts'
import { add } from '../../ops/add.ts'
import { binaryCrossEntropyWithLogits } from '../../ops/binary_cross_entropy_with_logits.ts'
import { crossEntropy } from '../../ops/cross_entropy.ts'
import { div } from '../../ops/div.ts'
import { erf } from '../../ops/erf.ts'
import { exp } from '../../ops/exp.ts'
import { gelu } from '../../ops/gelu.ts'
import { klDiv } from '../../ops/kl_div.ts'
import { log } from '../../ops/log.ts'
import { maskedFill } from '../../ops/masked_fill.ts'
import { maximum } from '../../ops/maximum.ts'
import { minimum } from '../../ops/minimum.ts'
import { mseLoss } from '../../ops/mse_loss.ts'
import { mul } from '../../ops/mul.ts'
import { neg } from '../../ops/neg.ts'
import { pow } from '../../ops/pow.ts'
import { relu } from '../../ops/relu.ts'
import { rsqrt } from '../../ops/rsqrt.ts'
import { sigmoid } from '../../ops/sigmoid.ts'
import { silu } from '../../ops/silu.ts'
import { sqrt } from '../../ops/sqrt.ts'
import { sub } from '../../ops/sub.ts'
import { tanh } from '../../ops/tanh.ts'
import { where } from '../../ops/where.ts'
import type { OpCall } from './call.ts'

export const elementwiseCalls: Readonly<Record<string, OpCall>> = {
  abs: (_, { x }) => ({ y: abs(x) }),
  add: (_, { a, b }) => ({ y: add(a, b) }),
  binary_cross_entropy_with_logits: (args, { x, target, weight, pos_weight }) => ({
    y: binaryCrossEntropyWithLogits(x, target, { ...args, weight, posWeight: pos_weight }),
  }),
  cross_entropy: (args, { x, target, weight }) => ({
    y: crossEntropy(x, target, {
      weight,
      ignoreIndex: args.ignore_index,
      labelSmoothing: args.label_smoothing,
      reduction: args.reduction,
    }),
  }),
  div: (_, { a, b }) => ({ y: div(a, b) }),
  erf: (_, { x }) => ({ y: erf(x) }),
  exp: (_, { x }) => ({ y: exp(x) }),
  gelu: (args, { x }) => ({ y: gelu(x, args) }),
  kl_div: ({ reduction, log_target }, { x, target }) => ({
    y: klDiv(x, target, { reduction, logTarget: log_target }),
  }),
  log: (_, { x }) => ({ y: log(x) }),
  masked_fill: ({ value }, { x, mask }) => ({ y: maskedFill(x, mask, value) }),
  maximum: (_, { a, b }) => ({ y: maximum(a, b) }),
  minimum: (_, { a, b }) => ({ y: minimum(a, b) }),
  mse_loss: (args, { x, target }) => ({ y: mseLoss(x, target, args) }),
  mul: (_, { a, b }) => ({ y: mul(a, b) }),
  neg: (_, { x }) => ({ y: neg(x) }),
  pow: (_, { a, b }) => ({ y: pow(a, b) }),
  relu: (_, { x }) => ({ y: relu(x) }),
  rsqrt: (_, { x }) => ({ y: rsqrt(x) }),
  sigmoid: (_, { x }) => ({ y: sigmoid(x) }),
  silu: (_, { x }) => ({ y: silu(x) }),
  sqrt: (_, { x }) => ({ y: sqrt(x) }),
  sub: (_, { a, b }) => ({ y: sub(a, b) }),
  tanh: (_, { x }) => ({ y: tanh(x) }),
  where: (_, { mask, a, b }) => ({ y: where(mask, a, b) }),
}
