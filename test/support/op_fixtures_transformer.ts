// How the golden cases of normalisation, rotary embedding, attention, embedding and convolution are
// called: case op -> the outputs by name, from the case's arguments and input tensors.

import type { Tensor } from '../../src/core/tensor.ts'
import { scaledDotProductAttention } from '../../src/ops/attention.ts'
import { layerNorm } from '../../src/ops/layer_norm.ts'
import { rmsNorm } from '../../src/ops/rms_norm.ts'

// biome-ignore lint/suspicious/noExplicitAny: each op has arguments of its own
export type FixtureArguments = any
export type FixtureInputs = Readonly<Record<string, Tensor>>
export type FixtureOutputs = Readonly<Record<string, Tensor>>
export type FixtureOp = (args: FixtureArguments, inputs: FixtureInputs) => FixtureOutputs

export const transformerFixtures: Readonly<Record<string, FixtureOp>> = {
  layer_norm: ({ eps, axes }, { x, weight, bias }) => ({
    y: layerNorm(x, weight, bias, { eps, axes }),
  }),
  scaled_dot_product_attention: (args, { q, k, v, mask }) => ({
    y: scaledDotProductAttention(q, k, v, {
      mask,
      isCausal: args.is_causal,
      scale: args.scale,
      enableGqa: args.enable_gqa,
      layout: 'BHTD',
    }),
  }),
  rms_norm: ({ eps, offset }, { x, weight }) => ({ y: rmsNorm(x, weight, { eps, offset }) }),
}
