// The ops: the public names, and no code.

export { amax, amaxOp, amin, aminOp } from './amax.ts'
export { type ArgmaxOptions, argmax, argmaxOp } from './argmax.ts'
export {
  type AttentionLayout,
  type AttentionOptions,
  scaledDotProductAttention,
  scaledDotProductAttentionOp,
} from './attention.ts'
export type { ReductionOptions } from './axes.ts'
export { cat, catOp } from './cat.ts'
export { cumsum, cumsumOp } from './cumsum.ts'
export { expand, expandOp } from './expand.ts'
export { gather, gatherOp } from './gather.ts'
export { indexSelect, indexSelectOp } from './index_select.ts'
export { type LayerNormOptions, layerNorm, layerNormOp } from './layer_norm.ts'
export { linear, linearOp } from './linear.ts'
export { logSoftmax, logSoftmaxOp } from './log_softmax.ts'
export { logsumexp, logsumexpOp } from './logsumexp.ts'
export { type MatmulOptions, matmul, matmulOp } from './matmul.ts'
export { type Extreme, type ExtremeOptions, max, maxOp } from './max.ts'
export { mean, meanOp } from './mean.ts'
export { min, minOp } from './min.ts'
export { norm, normOp } from './norm.ts'
export { permute, permuteOp } from './permute.ts'
export { prod, prodOp } from './prod.ts'
export { reshape, reshapeOp } from './reshape.ts'
export { type RmsNormOptions, rmsNorm, rmsNormOp } from './rms_norm.ts'
export type { AxisOptions } from './row_map.ts'
export { scatterAdd, scatterAddOp } from './scatter_add.ts'
export { slice, sliceOp } from './slice.ts'
export { softmax, softmaxOp } from './softmax.ts'
export { std, stdOp } from './std.ts'
export { sum, sumOp } from './sum.ts'
export type { SquaresOptions } from './sum_squares.ts'
export { transpose } from './transpose.ts'
export { variance, varianceOp } from './variance.ts'
