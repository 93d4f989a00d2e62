// Samples of products, normalisation, attention, embedding, convolution and losses. A scale is not
// 1 and nothing is 0, so that a forgotten factor or a forgotten transpose shows.

import { type Tensor, tensor } from '../../core/tensor.ts'
import {
  binaryCrossEntropyWithLogits,
  conv2d,
  crossEntropy,
  embedding,
  klDiv,
  layerNorm,
  linear,
  linearCrossEntropy,
  loraLinear,
  loraMerge,
  matmul,
  mseLoss,
  rmsNorm,
  rope,
  scaledDotProductAttention,
} from '../../ops/index.ts'
import { fixed, indices, type Sample, x } from './sample.ts'

const mask = { p: 0.25, seed: 11, stream: 3 }

/** One more target, which is not learned. */
function withIgnored(target: Tensor): Tensor {
  const data = Int32Array.from(target.dataSync())
  data[1] = -100
  return tensor(data, target.shape, { dtype: 'int32', backend: target.backend })
}

const scaledBy = (scale: number) => (A: Tensor, B: Tensor) => ({ A, B, scale })

const products: readonly Sample[] = [
  { op: 'matmul', inputs: [x(2, 5, 9), x(9, 7)], call: (a, b) => matmul(a, b) },
  {
    op: 'matmul',
    variant: 'with b transposed',
    inputs: [x(9, 17), x(13, 17)],
    call: (a, b) => matmul(a, b, { transposeB: true }),
  },
  { op: 'linear', inputs: [x(2, 3, 9), x(11, 9), x(11)], call: (a, w, b) => linear(a, w, b) },
  {
    op: 'loraLinear',
    inputs: [x(5, 9), x(11, 9), x(11), x(3, 9), x(11, 3)],
    call: (a, w, b, A, B) => loraLinear(a, w, b, [scaledBy(1.75)(A, B)]),
  },
  {
    op: 'loraLinear',
    variant: 'with dropout, two updates and rows',
    inputs: [x(6, 9), x(11, 9), x(3, 9), x(11, 3), x(2, 9), x(11, 2), x(11)],
    call: (a, w, A, B, A2, B2, bias) =>
      loraLinear(a, w, undefined, [
        { ...scaledBy(0.5)(A, B), dropout: mask },
        { ...scaledBy(-1.25)(A2, B2), bias, rows: [[1, 3]] },
      ]),
  },
  {
    op: 'loraMerge',
    inputs: [fixed(x(11, 9)), fixed(x(3, 9)), fixed(x(11, 3))],
    call: (w, A, B) => loraMerge(w, [scaledBy(1.75)(A, B)]),
  },
  {
    op: 'conv2d',
    inputs: [x(2, 4, 5, 6), x(6, 2, 3, 2), x(6)],
    call: (a, w, b) => conv2d(a, w, b, { stride: [2, 1], padding: [1, 0], groups: 2 }),
  },
]

const layers: readonly Sample[] = [
  { op: 'embedding', inputs: [indices(7, 3, 4), x(7, 5)], call: (at, w) => embedding(at, w) },
  {
    op: 'embedding',
    variant: 'with padding',
    inputs: [indices(7, 3, 4), x(7, 5)],
    cut: true,
    call: (at, w) => embedding(at, w, { paddingIdx: 2 }),
  },
  {
    op: 'layerNorm',
    inputs: [x(3, 13), x(13), x(13)],
    call: (a, w, b) => layerNorm(a, w, b, { eps: 1e-5 }),
  },
  { op: 'rmsNorm', inputs: [x(3, 13), x(13)], call: (a, w) => rmsNorm(a, w, { eps: 1e-5 }) },
  {
    op: 'rope',
    inputs: [x(2, 3, 2, 6), fixed(x(5, 3)), fixed(x(5, 3))],
    call: (a, cos, sin) => rope(a, cos, sin, { offset: 2 }),
  },
  {
    op: 'scaledDotProductAttention',
    inputs: [x(2, 5, 4, 6), x(2, 7, 2, 6), x(2, 7, 2, 6)],
    call: (q, k, v) => scaledDotProductAttention(q, k, v, { scale: 0.7, enableGqa: true }),
  },
  {
    op: 'scaledDotProductAttention',
    variant: 'causal',
    inputs: [x(1, 9, 2, 5), x(1, 9, 2, 5), x(1, 9, 2, 5)],
    call: (q, k, v) => scaledDotProductAttention(q, k, v, { isCausal: true }),
  },
]

const losses: readonly Sample[] = [
  {
    op: 'binaryCrossEntropyWithLogits',
    inputs: [x(3, 5), fixed(x(3, 5)), fixed(x(3, 5)), fixed(x(5))],
    call: (a, target, weight, posWeight) =>
      binaryCrossEntropyWithLogits(a, target, { weight, posWeight }),
  },
  {
    op: 'crossEntropy',
    inputs: [x(5, 11), indices(11, 5)],
    call: (a, target) => crossEntropy(a, withIgnored(target), { labelSmoothing: 0.1 }),
  },
  {
    op: 'klDiv',
    inputs: [x(3, 5), fixed({ shape: [3, 5], low: 0.1, high: 1 })],
    call: (a, target) => klDiv(a, target, { reduction: 'mean' }),
  },
  {
    op: 'klDiv',
    variant: 'of a log target',
    inputs: [x(3, 5), fixed(x(3, 5))],
    call: (a, target) => klDiv(a, target, { reduction: 'sum', logTarget: true }),
  },
  {
    op: 'binaryCrossEntropyWithLogits',
    variant: 'with a target that is trained',
    inputs: [x(3, 5), x(3, 5)],
    call: (a, target) => binaryCrossEntropyWithLogits(a, target),
  },
  {
    op: 'crossEntropy',
    variant: 'with class weights',
    inputs: [x(5, 11), indices(11, 5), fixed({ shape: [11], low: 0.1, high: 2 })],
    call: (a, target, weight) => crossEntropy(a, target, { weight }),
  },
  {
    op: 'linearCrossEntropy',
    inputs: [x(5, 9), x(11, 9), indices(11, 5)],
    call: (a, weight, target) => linearCrossEntropy(a, weight, withIgnored(target)),
  },
  {
    op: 'linearCrossEntropy',
    variant: 'with a frozen weight',
    inputs: [x(5, 9), fixed(x(11, 9)), indices(11, 5)],
    call: (a, weight, target) =>
      linearCrossEntropy(a, weight, target, { reduction: 'sum', labelSmoothing: 0.1 }),
  },
  {
    op: 'klDiv',
    variant: 'with a target that is trained',
    inputs: [x(3, 5), { shape: [3, 5], low: 0.1, high: 1 }],
    call: (a, target) => klDiv(a, target),
  },
  {
    op: 'klDiv',
    variant: 'with a log target that is trained',
    inputs: [x(3, 5), x(3, 5)],
    call: (a, target) => klDiv(a, target, { logTarget: true }),
  },
  { op: 'mseLoss', inputs: [x(3, 5), x(3, 5)], call: (a, b) => mseLoss(a, b) },
]

export const productSamples: readonly Sample[] = [...products, ...layers, ...losses]
