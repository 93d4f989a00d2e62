// Losses beside the mean square and the cross-entropy of classes: a family of its own, so that training a
// language model does not pay for it.

export {
  binary_cross_entropy_with_logits,
  binary_cross_entropy_with_logits_backward,
  binary_cross_entropy_with_logits_backward_target,
} from './binary_cross_entropy_with_logits'
export {
  kl_div,
  kl_div_backward,
  kl_div_backward_target,
  kl_div_log,
  kl_div_log_backward,
  kl_div_log_backward_target,
} from './kl_div'
