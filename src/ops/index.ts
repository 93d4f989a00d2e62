// The ops: the public names, and no code.

export { type LayerNormOptions, layerNorm, layerNormOp } from './layer_norm.ts'
export { type RmsNormOptions, rmsNorm, rmsNormOp } from './rms_norm.ts'
