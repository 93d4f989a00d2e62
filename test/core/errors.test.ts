// Every code is thrown by something that a user can do; a code without a case fails.

import { add, attach, backward, type ErrorCode, Linear, LowrankError, step, tensor } from 'lowrank'
import { memoryDirectory } from 'lowrank/io'
import { createModel, loadModel } from 'lowrank/models/auto'
import { evaluateLoss, parseExamples } from 'lowrank/train'
import { wasm } from 'lowrank/wasm'
import { describe, expect, it } from 'vitest'
import { ERROR_CODES, throwAll } from '../../src/core/errors.ts'
import { linear } from '../../src/ops/linear.ts'
import { SGD } from '../../src/optim/sgd.ts'
import { trainStep } from '../../src/train/train_step.ts'
import { tinyLlama } from '../support/models.ts'

const cases: Record<ErrorCode, () => unknown> = {
  shape: () => tensor([1, 2], [3]),
  dtype: () => add(tensor([1], [1], { dtype: 'int32' }), tensor([1], [1])),
  argument: () => new SGD([], { lr: 1 }),
  scope: () => backward(tensor([1], [])),
  backend: () => add(tensor([1], [1]), tensor([1], [1], { backend: wasm() })),
  memory: () => {
    const backend = wasm({ maximumBytes: 1 << 18 })
    const large = tensor(new Float32Array(1 << 20), [1 << 20], { backend })
    return step(() => add(large, large))
  },
  numeric: () => {
    const layer = new Linear(1, 1)
    const optimizer = new SGD(layer.trainable(), { lr: 1 })
    const x = tensor([Number.NaN], [1])
    return trainStep(optimizer, () => {
      const y = linear(x, layer.weight, layer.bias)
      return tensorSum(y)
    })
  },
  file: () => loadModel(memoryDirectory()),
  config: () => createModel('config.json', { model_type: 'none' }),
  target: () => attach(tinyLlama(), { targetModules: ['none'] }),
  data: () => parseExamples('[]', 'data.jsonl'),
  aborted: () =>
    evaluateLoss(tinyLlama(), [{ ids: [3, 4], labels: [3, 4] }], { signal: AbortSignal.abort() }),
}

/** The one element of y [1] as a scalar. */
function tensorSum(y: ReturnType<typeof linear>): ReturnType<typeof linear> {
  return add(y, tensor([0], [1]))
}

describe('error codes', () => {
  it.each(ERROR_CODES)('%s', async code => {
    const error = await Promise.resolve()
      .then(cases[code])
      .then(
        () => undefined,
        reason => reason,
      )
    expect(error).toBeInstanceOf(LowrankError)
    expect(error.code).toBe(code)
    expect(error.message).toMatch(/^[^:]+: /)
  })
})

describe('several problems', () => {
  it('are one error', () => {
    expect(() => throwAll('data', 'here', [])).not.toThrow()
    expect(() => throwAll('data', 'here', ['one'])).toThrow('here: one')
    expect(() => throwAll('data', 'here', ['one', 'two'])).toThrow(
      'here: 2 problems\n  - one\n  - two',
    )
  })
})
