// Kernels that threads share, and how each is cut: where its operands are, in the order of the parameter
// lists in src/ops and src/optim. A kernel that is not here runs on the caller alone: it is short, or its
// rows are not independent.

import { attentionBackward, attentionForward } from './attention.ts'
import { matmulNN, matmulNT, matmulTN } from './products.ts'
import { broadcasting, elementwise, HEAVY, LIGHT, type Rule, rowwise, type Split } from './split.ts'

/** Bytes of what cross-entropy keeps per row: a shift and a sum. */
const NORMALIZERS = 8

/** Positions of tokens: entries of the batch, or where there is only one, its tokens. */
const rope: Rule = operands => {
  const [B, T, H, D] = operands.slice(7)
  if (B * T * H * D < LIGHT) {
    return undefined
  }
  const [count, tokens] = B > 1 ? [7, T] : [8, 1]
  const moves = [[0, 4 * tokens * H * D] as const, [6, 4 * tokens * H * D] as const]
  const position = [[3, 4 * tokens] as const, [5, B > 1 ? 0 : 1] as const]
  return { count, units: operands[count], grain: 1, moves: [...moves, ...position], scratch: -1 }
}

/**
 * Kernels over [rows, cols] of which some operands are parts of wider rows: an offset at each of `offsets`,
 * its stride after it; `matrices` are contiguous. By rows, or where all is one row, by columns.
 */
function gated(rows: number, matrices: readonly number[], offsets: readonly number[]): Rule {
  const others = (operands: readonly number[]): Split['moves'] =>
    offsets.map(at => [at, operands[at + 1]] as const)
  const byRow = rowwise({ rows, matrices, others }, HEAVY)
  const byColumn = elementwise(rows + 1, matrices, HEAVY)
  return operands => {
    const split = operands[rows] === 1 ? byColumn(operands) : undefined
    const moves = offsets.map(at => [at, 1] as const)
    return split ? { ...split, moves: [...split.moves, ...moves] } : byRow(operands)
  }
}

/** The same rule for kernels of all these names, and for what they are with `_backward` added. */
function unary(least: number, names: readonly string[]): Record<string, Rule> {
  const [forward, backward] = [elementwise(2, [0, 1], least), elementwise(3, [0, 1, 2], least)]
  const pairs = names.flatMap(name => [
    [name, forward] as const,
    [`${name}_backward`, backward] as const,
  ])
  return Object.fromEntries(pairs)
}

const softmax = rowwise({ rows: 2, matrices: [0, 1] }, HEAVY)
const softmaxBackward = rowwise({ rows: 3, matrices: [0, 1, 2] }, LIGHT)
const sumOfTwo = broadcasting(2, LIGHT)

/** Kernels that can be split, and how. */
export const SPLITS: Readonly<Record<string, Rule>> = {
  matmul_nn: matmulNN,
  matmul_nt: matmulNT,
  matmul_tn: matmulTN,
  attention: attentionForward,
  attention_backward: attentionBackward,
  rope,
  gather_rows: operands => {
    const [count, , C] = operands.slice(4)
    const moves = [[2, 4] as const, [3, 4 * C] as const]
    return count * C < LIGHT ? undefined : { count: 4, units: count, grain: 1, moves, scratch: -1 }
  },
  cross_entropy: rowwise(
    { rows: 7, matrices: [0], vectors: [1, 4, 5], others: () => [[6, NORMALIZERS]] },
    HEAVY,
  ),
  cross_entropy_backward: rowwise(
    {
      rows: 9,
      matrices: [0, 8],
      vectors: [1],
      others: operands => [
        [4, NORMALIZERS],
        [5, 4 * operands[6]],
      ],
    },
    HEAVY,
  ),
  // The rows of a chunk begin at an operand.
  cross_entropy_chunk: rowwise(
    {
      rows: 8,
      matrices: [0],
      others: () => [
        [6, NORMALIZERS],
        [7, 1],
      ],
    },
    HEAVY,
  ),
  cross_entropy_chunk_backward: rowwise(
    {
      rows: 9,
      matrices: [0],
      others: () => [
        [4, NORMALIZERS],
        [8, 1],
      ],
    },
    HEAVY,
  ),
  rms_norm: rowwise({ rows: 5, matrices: [0, 3], vectors: [4] }, LIGHT),
  rms_norm_dx: rowwise({ rows: 6, matrices: [0, 1, 5], vectors: [4] }, LIGHT),
  layer_norm: rowwise({ rows: 8, matrices: [0, 5], vectors: [6, 7] }, LIGHT),
  layer_norm_dx: rowwise({ rows: 7, matrices: [0, 1, 6], vectors: [4, 5] }, LIGHT),
  swiglu: gated(7, [6], [1, 4]),
  // Its gradients begin where gate and up do.
  swiglu_backward: gated(9, [6], [1, 4]),
  softmax,
  log_softmax: softmax,
  softmax_backward: softmaxBackward,
  log_softmax_backward: softmaxBackward,
  ...unary(HEAVY, ['exp', 'gelu', 'gelu_tanh', 'sigmoid', 'silu', 'tanh']),
  ...unary(LIGHT, ['relu']),
  neg: elementwise(2, [0, 1], LIGHT),
  add: sumOfTwo,
  sub: sumOfTwo,
  mul: sumOfTwo,
  div: sumOfTwo,
  mse_loss: sumOfTwo,
  mse_loss_backward: broadcasting(3, LIGHT),
  accumulate: elementwise(2, [0, 1], LIGHT),
  copy: elementwise(2, [0, 1], LIGHT),
  fill: elementwise(2, [0], LIGHT),
  fill_rows: rowwise({ rows: 2, matrices: [1] }, LIGHT),
  scale: elementwise(3, [0, 2], LIGHT),
  adam_update: elementwise(4, [0, 1, 2, 3], LIGHT),
  adam_amsgrad_update: elementwise(5, [0, 1, 2, 3, 4], LIGHT),
  sgd_update: elementwise(2, [0, 1], LIGHT),
  sgd_momentum_update: elementwise(3, [0, 1, 2], LIGHT),
}
