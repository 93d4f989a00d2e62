// How the cases of normalisation, rotary embedding, attention, embedding and convolution are
// called: case op -> the outputs by name, from the case's arguments and input tensors.

import { type Tensor, tensor } from '../../core/tensor.ts'
import { RopeTables, readRopeConfig } from '../../nn/rope_tables.ts'
import { scaledDotProductAttention } from '../../ops/attention.ts'
import { conv2d } from '../../ops/conv2d.ts'
import { embedding } from '../../ops/embedding.ts'
import { layerNorm } from '../../ops/layer_norm.ts'
import { permute } from '../../ops/permute.ts'
import { rmsNorm } from '../../ops/rms_norm.ts'
import { rope } from '../../ops/rope.ts'
import type { CallArguments, CallInputs, CallOutputs, OpCall } from './call.ts'

/** Positions [B, T] where a case has those of one row for all. */
function rowsOf(positions: Tensor, B: number): Tensor {
  const [rows, T] = positions.shape
  const row = [...positions.dataSync()]
  return rows === B
    ? positions
    : tensor(Array.from({ length: B }, () => row).flat(), [B, T], { dtype: 'int32' })
}

/** The cases have heads before tokens. */
function ropeCall({ theta }: CallArguments, { q, k, positions }: CallInputs): CallOutputs {
  const config = readRopeConfig('case', { rope_theta: theta }, q.shape[3])
  const length = Math.max(0, ...positions.dataSync()) + 1
  const { cos, sin } = new RopeTables(config, length).upTo(length)
  const rows = rowsOf(positions, q.shape[0])
  const swapped = (x: Tensor): Tensor => permute(x, [0, 2, 1, 3])
  const turned = (x: Tensor): Tensor => swapped(rope(swapped(x), cos, sin, { positions: rows }))
  return { q_out: turned(q), k_out: turned(k) }
}

export const transformerCalls: Readonly<Record<string, OpCall>> = {
  conv2d: (args, { x, weight, bias }) => ({ y: conv2d(x, weight, bias, args) }),
  embedding: (args, { index, weight }) => ({
    y: embedding(index, weight, { paddingIdx: args.padding_idx ?? undefined }),
  }),
  layer_norm: ({ eps, axes }, { x, weight, bias }) => ({
    y: layerNorm(x, weight, bias, { eps, axes }),
  }),
  rope: ropeCall,
  scaled_dot_product_attention: (args, { q, k, v, mask }) => ({
    y: scaledDotProductAttention(q, k, v, {
      mask,
      isCausal: args.is_causal,
      scale: args.scale ?? undefined,
      enableGqa: args.enable_gqa,
      layout: 'BHTD',
    }),
  }),
  rms_norm: ({ eps, offset }, { x, weight }) => ({ y: rmsNorm(x, weight, { eps, offset }) }),
}
