// trainStep: the loss as a number, the update, and what happens where a number is not finite.

import { describe, expect, test } from 'vitest'
import { reference } from '../../src/backends/reference/index.ts'
import { type Backend, withBackend } from '../../src/core/backend.ts'
import { LowrankError } from '../../src/core/errors.ts'
import { Parameter } from '../../src/core/parameter.ts'
import { type Tensor, tensor } from '../../src/core/tensor.ts'
import { matmul } from '../../src/ops/matmul.ts'
import { reshape } from '../../src/ops/reshape.ts'
import { AdamW } from '../../src/optim/adamw.ts'
import type { Optimizer } from '../../src/optim/optimizer.ts'
import { SGD } from '../../src/optim/sgd.ts'
import { stateDict } from '../../src/optim/state.ts'
import { trainStep } from '../../src/train/train_step.ts'
import { backends } from '../support/backends.ts'

/** w [2, 1] and the loss x·w, whose gradient is x. */
function problem(backend: Backend): { w: Parameter; loss: (x: number[]) => () => Tensor } {
  const w = withBackend(backend, () => new Parameter([1, 1], [2, 1]))
  w.name = 'w'
  return { w, loss: x => () => reshape(matmul(tensor(x, [1, 2], { backend }), w), []) }
}

async function failure(run: Promise<unknown>): Promise<LowrankError> {
  const error = await run.then(
    () => new Error('did not throw'),
    thrown => thrown,
  )
  expect(error).toBeInstanceOf(LowrankError)
  return error
}

async function snapshot(w: Parameter, optimizer: Optimizer): Promise<unknown> {
  return [w.dataSync(), await stateDict(optimizer)]
}

describe.each(backends)('trainStep on $name', ({ make }) => {
  test('returns the loss, updates, and forgets the gradient', async () => {
    const { w, loss } = problem(make())
    const optimizer = new SGD([w], { lr: 0.5 })
    expect(await trainStep(optimizer, loss([2, 4]))).toBe(6)
    expect([...w.dataSync()]).toEqual([0, -1])
    expect(w.hasGrad).toBe(false)
    expect(await trainStep(optimizer, loss([2, 4]))).toBe(-4)
    expect(optimizer.steps).toBe(2)
  })

  test('clips by the common norm', async () => {
    const { w, loss } = problem(make())
    const optimizer = new SGD([w], { lr: 1 })
    await trainStep(optimizer, loss([3, 4]), { maxGradNorm: 1 })
    expect(w.dataSync()[0]).toBeCloseTo(1 - 3 / 5, 5)
    expect(w.dataSync()[1]).toBeCloseTo(1 - 4 / 5, 5)
  })

  test('sums the parts of a batch', async () => {
    const { w, loss } = problem(make())
    const optimizer = new SGD([w], { lr: 1 })
    expect(await trainStep(optimizer, [loss([1, 2]), loss([3, 4])])).toBe(10)
    expect([...w.dataSync()]).toEqual([1 - 4, 1 - 6])
  })

  test('steps begun at the same time do not mix', async () => {
    const { w, loss } = problem(make())
    const optimizer = new SGD([w], { lr: 1 })
    const bad = trainStep(optimizer, loss([Number.NaN, 0]))
    const good = trainStep(optimizer, loss([1, 2]))
    await failure(bad)
    expect(await good).toBe(3)
    expect([...w.dataSync()]).toEqual([0, -1])
  })

  test('a loss that is not finite changes nothing', async () => {
    const { w, loss } = problem(make())
    const optimizer = new AdamW([w], { lr: 0.125 })
    const first = await failure(trainStep(optimizer, loss([Number.POSITIVE_INFINITY, 1])))
    expect(first.message).toMatch(
      /^trainStep: step 1: expected a finite loss, got Infinity .*first step: look for NaN or infinity/,
    )
    await trainStep(optimizer, loss([1, 2]))
    const before = await snapshot(w, optimizer)
    const second = await failure(trainStep(optimizer, loss([1, Number.NaN])))
    expect(second.code).toBe('numeric')
    expect(second.message).toMatch(
      /^trainStep: step 2: expected a finite loss, got NaN .*learning rate.*0.125.*maxGradNorm/,
    )
    expect(await snapshot(w, optimizer)).toEqual(before)
    expect(w.hasGrad).toBe(false)
  })

  test('a gradient that is not finite names its parameter', async () => {
    const backend = make()
    const { w, loss } = problem(backend)
    const unit = withBackend(backend, () => new Parameter([0], [1, 1]))
    const optimizer = new SGD([w, unit], { lr: 1 })
    await trainStep(optimizer, loss([1, 0]))
    const before = await snapshot(w, optimizer)
    // u·(x·0) is 0, but its gradient by the 0 is u·x, which overflows.
    const large = backend.precision === 64 ? 1e308 : 3e38
    const product = (): Tensor => {
      const x = tensor([large, large], [2, 1], { backend })
      const u = tensor([2, 2], [1, 2], { backend })
      return reshape(matmul(u, matmul(x, unit)), [])
    }
    const error = await failure(trainStep(optimizer, product))
    expect(error.code).toBe('numeric')
    expect(error.message).toMatch(
      /^trainStep: step 2: expected a finite gradient, got NaN or infinity in that of parameter 1 /,
    )
    expect(unit.dataSync()[0]).toBe(0)
    expect(await snapshot(w, optimizer)).toEqual(before)
  })

  test('no bytes stay behind', async () => {
    const backend = make()
    const { w, loss } = problem(backend)
    const optimizer = new AdamW([w])
    await trainStep(optimizer, loss([1, 2]))
    const { used, reserved } = backend.memory()
    for (let n = 0; n < 20; n++) {
      await trainStep(optimizer, loss([1, n]), { maxGradNorm: 1 })
      await failure(trainStep(optimizer, loss([1, Number.NaN])))
    }
    expect(backend.memory()).toMatchObject({ used, reserved })
  })

  test('what the function throws passes, and leaves no gradient', async () => {
    const { w, loss } = problem(make())
    const optimizer = new SGD([w])
    const broken = (): Tensor => {
      throw new Error('broken')
    }
    await expect(trainStep(optimizer, [loss([1, 2]), broken])).rejects.toThrow('broken')
    expect(w.hasGrad).toBe(false)
    expect([...w.dataSync()]).toEqual([1, 1])
  })

  test('a loss of another model is an error', async () => {
    const backend = make()
    const optimizer = new SGD([problem(backend).w])
    const other = problem(backend)
    const error = await failure(trainStep(optimizer, other.loss([1, 2])))
    expect(error.code).toBe('argument')
    expect(error.message).toMatch(/none of the 1 parameters of SGD received a gradient/)
  })

  test('a function that returns a promise is a TypeError', async () => {
    const { w, loss } = problem(make())
    const wrong = async (): Promise<Tensor> => loss([1, 2])()
    await expect(trainStep(new SGD([w]), wrong as never)).rejects.toThrow(TypeError)
  })
})

test('trainStep refuses a backend for inference alone, before it runs anything', async () => {
  const { w } = problem(reference({ inferenceOnly: 'no WebAssembly here' }))
  let ran = false
  const error = await failure(
    trainStep(new SGD([w]), () => {
      ran = true
      return w
    }),
  )
  expect(error.code).toBe('backend')
  expect(error.message).toMatch(/trainStep: expected a backend that trains.*no WebAssembly here/)
  expect(ran).toBe(false)
})
