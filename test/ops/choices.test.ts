// Options that take one of some words refuse any other, which JavaScript lets through.

import { describe, expect, it } from 'vitest'
import { type Tensor, tensor } from '../../src/core/tensor.ts'
import {
  binaryCrossEntropyWithLogits,
  crossEntropy,
  gelu,
  klDiv,
  linearCrossEntropy,
  mseLoss,
  scaledDotProductAttention,
} from '../../src/ops/index.ts'

const x = tensor([1, 2, 3, 4], [2, 2])
const heads = tensor([1, 2, 3, 4], [1, 2, 1, 2])
const classes = tensor([0, 1], [2], { dtype: 'int32' })
const LOSS = 'reduction: expected mean or sum or none'

/** Each with a word that is misspelt, as a program without types can have it. */
const CALLS: readonly (readonly [string, (word: never) => Tensor, string])[] = [
  ['mseLoss', reduction => mseLoss(x, x, { reduction }), LOSS],
  ['klDiv', reduction => klDiv(x, x, { reduction }), `${LOSS} or batchmean`],
  ['crossEntropy', reduction => crossEntropy(x, classes, { reduction }), LOSS],
  ['linearCrossEntropy', reduction => linearCrossEntropy(x, x, classes, { reduction }), LOSS],
  [
    'binaryCrossEntropyWithLogits',
    reduction => binaryCrossEntropyWithLogits(x, x, { reduction }),
    LOSS,
  ],
  ['gelu', approximate => gelu(x, { approximate }), 'approximate: expected none or tanh'],
  [
    'scaledDotProductAttention',
    layout => scaledDotProductAttention(heads, heads, heads, { layout }),
    'layout: expected BTHD or BHTD',
  ],
]

describe('a word that an option does not know', () => {
  it.each(CALLS)('is refused by %s', (name, call, expected) => {
    expect(() => call('tahn' as never)).toThrow(
      expect.objectContaining({ code: 'argument', message: `${name}: ${expected}, got tahn` }),
    )
  })
})
