export { rms_norm, rms_norm_dweight, rms_norm_dx } from './rms_norm'
export { attention, attention_scratch } from './attention'
export { attention_backward, attention_backward_scratch } from './attention_backward'
export { cross_entropy, cross_entropy_backward, cross_entropy_reduce } from './cross_entropy'
export {
  class_weights,
  cross_entropy_chunk,
  cross_entropy_chunk_backward,
  scale,
} from './linear_cross_entropy'
export { swiglu, swiglu_backward } from './swiglu'
export { embedding_backward } from './embedding'
export { rope } from './rope'
