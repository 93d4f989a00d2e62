// Copies between views, and rows picked by an index: a family of its own, so that an import of linear
// layers, losses and optimizers does not pay for it.

export { index_add, index_select } from './index_select'
export { copy_strided } from './strided'
