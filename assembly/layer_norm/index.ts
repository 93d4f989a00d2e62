export { layer_norm, layer_norm_dweight, layer_norm_dx } from './layer_norm'
