// How the golden cases of elementwise ops and losses are called: case op -> the outputs by name, from
// the case's arguments and input tensors.

import { add } from '../../src/ops/add.ts'
import { binaryCrossEntropyWithLogits } from '../../src/ops/binary_cross_entropy_with_logits.ts'
import { crossEntropy } from '../../src/ops/cross_entropy.ts'
import { div } from '../../src/ops/div.ts'
import { exp } from '../../src/ops/exp.ts'
import { gelu } from '../../src/ops/gelu.ts'
import { klDiv } from '../../src/ops/kl_div.ts'
import { log } from '../../src/ops/log.ts'
import { maskedFill } from '../../src/ops/masked_fill.ts'
import { maximum } from '../../src/ops/maximum.ts'
import { mseLoss } from '../../src/ops/mse_loss.ts'
import { mul } from '../../src/ops/mul.ts'
import { pow } from '../../src/ops/pow.ts'
import { relu } from '../../src/ops/relu.ts'
import { rsqrt } from '../../src/ops/rsqrt.ts'
import { sigmoid } from '../../src/ops/sigmoid.ts'
import { silu } from '../../src/ops/silu.ts'
import { sub } from '../../src/ops/sub.ts'
import { tanh } from '../../src/ops/tanh.ts'
import { where } from '../../src/ops/where.ts'
import type { FixtureOp } from './op_fixtures_transformer.ts'

export const elementwiseFixtures: Readonly<Record<string, FixtureOp>> = {
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
  exp: (_, { x }) => ({ y: exp(x) }),
  gelu: (args, { x }) => ({ y: gelu(x, args) }),
  kl_div: ({ reduction, log_target }, { x, target }) => ({
    y: klDiv(x, target, { reduction, logTarget: log_target }),
  }),
  log: (_, { x }) => ({ y: log(x) }),
  masked_fill: ({ value }, { x, mask }) => ({ y: maskedFill(x, mask, value) }),
  maximum: (_, { a, b }) => ({ y: maximum(a, b) }),
  mse_loss: (args, { x, target }) => ({ y: mseLoss(x, target, args) }),
  mul: (_, { a, b }) => ({ y: mul(a, b) }),
  pow: (_, { a, b }) => ({ y: pow(a, b) }),
  relu: (_, { x }) => ({ y: relu(x) }),
  rsqrt: (_, { x }) => ({ y: rsqrt(x) }),
  sigmoid: (_, { x }) => ({ y: sigmoid(x) }),
  silu: (_, { x }) => ({ y: silu(x) }),
  sub: (_, { a, b }) => ({ y: sub(a, b) }),
  tanh: (_, { x }) => ({ y: tanh(x) }),
  where: (_, { mask, a, b }) => ({ y: where(mask, a, b) }),
}
