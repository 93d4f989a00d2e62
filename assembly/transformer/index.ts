export { layer_norm, layer_norm_dweight, layer_norm_dx } from './layer_norm'
export { rms_norm, rms_norm_dweight, rms_norm_dx } from './rms_norm'
export { attention, attention_scratch } from './attention'
export { attention_backward, attention_backward_scratch } from './attention_backward'
export {
  binary_cross_entropy_with_logits,
  binary_cross_entropy_with_logits_backward,
  binary_cross_entropy_with_logits_backward_target,
} from './binary_cross_entropy_with_logits'
export { cross_entropy, cross_entropy_backward, cross_entropy_reduce } from './cross_entropy'
export {
  kl_div,
  kl_div_backward,
  kl_div_backward_target,
  kl_div_log,
  kl_div_log_backward,
  kl_div_log_backward_target,
} from './kl_div'
export {
  class_weights,
  cross_entropy_chunk,
  cross_entropy_chunk_backward,
  scale,
} from './linear_cross_entropy'
export { swiglu, swiglu_backward } from './swiglu'
export { embedding_backward } from './embedding'
export { rope } from './rope'
export { gather_rows } from '../core/panels'
