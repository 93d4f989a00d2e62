export { layer_norm, layer_norm_dbias, layer_norm_dweight, layer_norm_dx } from './layer_norm'
export { rms_norm, rms_norm_dweight, rms_norm_dx } from './rms_norm'
