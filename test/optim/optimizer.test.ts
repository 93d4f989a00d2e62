// What all optimizers share: nothing changes where a number is not finite, parameters without a
// gradient are skipped, checkpoints go on bit for bit, mistakes are all listed.

import { describe, expect, test } from 'vitest'
import { reference } from '../../src/backends/reference/index.ts'
import { type Backend, withBackend } from '../../src/core/backend.ts'
import { Parameter } from '../../src/core/parameter.ts'
import { tensor } from '../../src/core/tensor.ts'
import { sliceOp } from '../../src/ops/slice.ts'
import { Adafactor } from '../../src/optim/adafactor.ts'
import { Adam } from '../../src/optim/adam.ts'
import { AdamW } from '../../src/optim/adamw.ts'
import type { Optimizer } from '../../src/optim/optimizer.ts'
import { SGD } from '../../src/optim/sgd.ts'
import { loadStateDict, type OptimizerState, stateDict } from '../../src/optim/state.ts'
import { TransformersAdafactor } from '../../src/optim/transformers_adafactor.ts'
import { backends } from '../support/backends.ts'
import { setGradient } from '../support/gradients.ts'

const makers: Record<string, (parameters: Parameter[]) => Optimizer> = {
  'SGD with momentum': parameters => new SGD(parameters, { momentum: 0.9, dampening: 0.5 }),
  SGD: parameters => new SGD(parameters, { lr: 0.1 }),
  Adam: parameters => new Adam(parameters, { amsgrad: true }),
  AdamW: parameters => new AdamW(parameters, { lr: 0.1 }),
  Adafactor: parameters => new Adafactor(parameters),
  TransformersAdafactor: parameters => new TransformersAdafactor(parameters, { beta1: 0.5 }),
}

const named = Object.entries(makers)

function parameters(backend: Backend): Parameter[] {
  return withBackend(backend, () => [
    new Parameter([0.5, -1, 2, 3, -4, 5], [2, 3]),
    new Parameter([1, 2, 3, 4, 5, 6, 7], [7]),
  ])
}

/** Gradients of step `n`, the same for everyone. */
function gradientsOf(n: number): number[][] {
  return [
    [1, -2, 3, 0.5, 0.25, n],
    [n, 1, -1, 2, -2, 0.5, 3],
  ]
}

function give(trained: readonly Parameter[], gradients: readonly number[][]): void {
  trained.forEach((parameter, i) => {
    setGradient(parameter, gradients[i])
  })
}

async function everything(trained: readonly Parameter[], optimizer: Optimizer): Promise<unknown> {
  const { tensors } = await stateDict(optimizer)
  return [trained.map(parameter => parameter.dataSync()), tensors]
}

describe.each(backends)('optimizers on $name', ({ make }) => {
  describe.each(named)('%s', (_name, build) => {
    test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
      'changes nothing where a gradient is %d',
      async bad => {
        const trained = parameters(make())
        const optimizer = build(trained)
        give(trained, gradientsOf(1))
        optimizer.step({ maxGradNorm: 1 })
        expect(await optimizer.finite()).toBe(true)
        const before = await everything(trained, optimizer)
        for (let at = 0; at < 7; at++) {
          const gradients = gradientsOf(2)
          gradients[1][at] = bad
          give(trained, gradients)
          optimizer.step({ maxGradNorm: 1 })
          expect(await optimizer.finite()).toBe(false)
          expect(await everything(trained, optimizer)).toEqual(before)
        }
        give(trained, gradientsOf(2))
        optimizer.step()
        expect(await optimizer.finite()).toBe(true)
        expect(await everything(trained, optimizer)).not.toEqual(before)
      },
    )

    test('gives a copy of what a step found, which the next leaves alone', async () => {
      const trained = parameters(make())
      const optimizer = build(trained)
      give(trained, gradientsOf(1))
      optimizer.step()
      const first = optimizer.copyFound(sliceOp)
      const norm = await optimizer.gradNorm()
      give(trained, [gradientsOf(1)[0], [Number.NaN, 0, 0, 0, 0, 0, 0]])
      optimizer.step()
      const [[found, , flag], second] = [
        await first.data(),
        await optimizer.copyFound(sliceOp).data(),
      ]
      expect([found, flag, second[2]]).toEqual([norm, 0, 1])
      expect(optimizer).not.toHaveProperty('control')
    })

    test('a first step that is refused leaves no trace', async () => {
      const [trained, others] = [parameters(make()), parameters(make())]
      const [optimizer, other] = [build(trained), build(others)]
      give(trained, [[Number.NaN, 0, 0, 0, 0, 0], gradientsOf(1)[1]])
      optimizer.step()
      for (const [all, one] of [
        [trained, optimizer],
        [others, other],
      ] as const) {
        give(all, gradientsOf(1))
        one.step()
      }
      expect(await everything(trained, optimizer)).toEqual(await everything(others, other))
    })

    test('a loss that is not finite refuses the step', async () => {
      const backend = make()
      const trained = parameters(backend)
      const optimizer = build(trained)
      const before = await everything(trained, optimizer)
      give(trained, gradientsOf(1))
      const losses = withBackend(backend, () => [tensor([1], []), tensor([Number.NaN], [])])
      optimizer.step({ losses: losses.slice(0, 1) })
      expect(await optimizer.finite()).toBe(true)
      expect(trained[0].dataSync()).not.toEqual((before as unknown[][])[0][0])
      const after = await everything(trained, optimizer)
      optimizer.step({ losses })
      expect(await optimizer.finite()).toBe(false)
      expect(await everything(trained, optimizer)).toEqual(after)
    })

    test('parameters without a gradient stay, and catch up on nothing', async () => {
      const [trained, others] = [parameters(make()), parameters(make())]
      const [optimizer, other] = [build(trained), build(others)]
      for (const n of [1, 2]) {
        give(trained, gradientsOf(n))
        trained[1].clearGrad()
        optimizer.step()
      }
      give(trained, gradientsOf(1))
      trained[0].clearGrad()
      optimizer.step()
      give(others, gradientsOf(1))
      other.step()
      expect(trained[1].dataSync()).toEqual(others[1].dataSync())
      const [{ tensors }, state] = [await stateDict(optimizer), await stateDict(other)]
      for (const name of Object.keys(tensors).filter(key => key.startsWith('1.'))) {
        expect(tensors[name], name).toEqual(state.tensors[name])
      }
    })

    test('goes on from a checkpoint bit for bit', async () => {
      const [trained, others] = [parameters(make()), parameters(make())]
      const [optimizer, other] = [build(trained), build(others)]
      for (const n of [1, 2, 3]) {
        give(trained, gradientsOf(n))
        optimizer.step()
      }
      optimizer.scaleLearningRate(0.5)
      const state = await stateDict(optimizer)
      others.forEach((parameter, i) => {
        parameter.replace(trained[i].dataSync())
      })
      const { tensors, ...rest } = state
      loadStateDict(other, { ...JSON.parse(JSON.stringify(rest)), tensors })
      expect(other.steps).toBe(3)
      expect(other.groups[0].lr).toBe(optimizer.groups[0].lr)
      for (const [all, one] of [
        [trained, optimizer],
        [others, other],
      ] as const) {
        give(all, gradientsOf(4))
        one.step()
      }
      expect(await everything(others, other)).toEqual(await everything(trained, optimizer))
    })

    test('takes no more bytes after the first step, and gives all of them back', async () => {
      const backend = make()
      const trained = parameters(backend)
      give(trained, gradientsOf(1))
      for (const parameter of trained) {
        parameter.buffer()
      }
      // The scratch buffer belongs to the backend.
      backend.scratch(1000)
      const before = backend.memory().used
      const optimizer = build(trained)
      optimizer.step({ maxGradNorm: 1 })
      const during = backend.memory().used
      for (let n = 0; n < 10; n++) {
        optimizer.step({ maxGradNorm: 1 })
      }
      expect(backend.memory().used).toBe(during)
      loadStateDict(optimizer, await stateDict(optimizer))
      optimizer.step()
      expect(backend.memory().used).toBe(during)
      optimizer.dispose()
      optimizer.dispose()
      expect(backend.memory().used).toBe(before)
      expect(() => optimizer.step()).toThrow(/used after dispose/)
    })
  })

  test('reports the norm before clipping', async () => {
    const trained = parameters(make())
    const optimizer = new SGD(trained, { lr: 1 })
    give(trained, [
      [3, 0, 0, 0, 0, 0],
      [0, 4, 0, 0, 0, 0, 0],
    ])
    optimizer.step({ maxGradNorm: 1 })
    expect(await optimizer.gradNorm()).toBe(5)
    expect(trained[0].dataSync()[0]).toBeCloseTo(0.5 - 3 / 5, 6)
    expect(trained[1].dataSync()[1]).toBeCloseTo(2 - 4 / 5, 6)
    trained[1].clearGrad()
    optimizer.step()
    expect(await optimizer.gradNorm()).toBe(3)
  })

  test('groups have rates of their own, which can be set and scaled', () => {
    const trained = parameters(make())
    const groups = [{ params: trained.slice(0, 1) }, { params: trained.slice(1), lr: 0.5 }]
    const optimizer = new SGD(groups, { lr: 0.25 })
    expect(optimizer.groups.map(({ lr }) => lr)).toEqual([0.25, 0.5])
    optimizer.scaleLearningRate(0.5)
    expect(optimizer.groups.map(({ lr }) => lr)).toEqual([0.125, 0.25])
    optimizer.groups[1].lr = 0
    give(trained, gradientsOf(1))
    optimizer.step()
    expect(trained[0].dataSync()[0]).toBe(0.5 - 0.125)
    expect([...trained[1].dataSync()]).toEqual([1, 2, 3, 4, 5, 6, 7])
    for (const factor of [Number.NaN, -1, Number.POSITIVE_INFINITY]) {
      expect(() => optimizer.scaleLearningRate(factor)).toThrow(`factor from 0 up, got ${factor}`)
    }
  })

  test('zeroGrad forgets all gradients', () => {
    const trained = parameters(make())
    const optimizer = new SGD(trained)
    give(trained, gradientsOf(1))
    optimizer.zeroGrad()
    expect(trained.map(({ hasGrad }) => hasGrad)).toEqual([false, false])
  })
})

describe('mistakes', () => {
  const [w] = parameters(reference())

  test('everything that is wrong with options and parameters is listed', () => {
    const frozen = new Parameter([1], [1], { requiresGrad: false })
    frozen.name = 'base.weight'
    const options = { lr: -1, betas: [0.9, 1] as const, eps: Number.NaN, weight_decay: 0.1 }
    expect(() => new AdamW([w, w, frozen], options)).toThrow(
      /AdamW: 6 problems\n.*no option "weight_decay" \(options: lr, .*weightDecay.*\n.*lr.*-1\n.*eps.*NaN\n.*betas\[1\] must be in \[0, 1\), got 1\n.*parameter 1 appears twice\n.*parameter 2 \(base.weight\) is frozen/,
    )
  })

  test('a group alone has no number', () => {
    expect(() => new SGD([{ params: [w], momentum: -1 }])).toThrow(/^SGD: momentum must be/)
  })

  test('groups are told apart', () => {
    expect(() => new SGD([{ params: [w] }, { params: [], momentum: -1 }])).toThrow(
      'SGD: group 1: momentum must be finite and 0 or more, got -1',
    )
    expect(() => new Adam([{ params: [] }])).toThrow(/at least one parameter, got none/)
    expect(() => new Adam([])).toThrow(/at least one parameter, got none/)
    expect(() => new Adam([], { lr: -1 })).toThrow(/2 problems\n.*lr.*\n.*at least one parameter/)
  })

  test.each<[string, () => unknown, RegExp]>([
    ['nesterov', () => new SGD([w], { nesterov: true }), /nesterov needs a momentum/],
    ['dampening', () => new SGD([w], { dampening: Number.NaN }), /dampening must be finite/],
    ['betas', () => new Adam([w], { betas: 0.9 as never }), /betas must be two numbers, got 0.9/],
    [
      'Adafactor',
      () => new Adafactor([w], { d: 0.5, beta2Decay: 1 }),
      /2 problems\n.*d must.*\n.*beta2Decay/,
    ],
    ['eps', () => new Adafactor([w], { eps: [0, -1] }), /eps\[1\].*-1\n.*eps\[0\] must be above 0/],
    ['lr', () => new TransformersAdafactor([w], { lr: 1 }), /relativeStep finds the rate itself/],
    [
      'no lr',
      () => new TransformersAdafactor([w], { relativeStep: false }),
      /an lr above 0 is needed/,
    ],
    [
      'maxGradNorm',
      () => new SGD([w]).step({ maxGradNorm: 0 }),
      /maxGradNorm must be above 0, got 0/,
    ],
    ['not a parameter', () => new SGD([w, {} as never]), /parameter 1 is not a Parameter/],
  ])('%s', (_name, fn, message) => {
    expect(fn).toThrow(message)
  })

  test('two backends do not mix', () => {
    const [other] = parameters(reference())
    expect(() => new SGD([w, other])).toThrow(/two backends/)
    const loss = withBackend(reference(), () => tensor([1], []))
    expect(() => new SGD([w]).step({ losses: [loss] })).toThrow(/SGD.step.*two backends/)
  })

  test('a disposed parameter is refused', () => {
    const [gone] = parameters(reference())
    gone.dispose()
    expect(() => new SGD([gone])).toThrow(/parameter 0 was disposed/)
  })

  test('a backend for inference alone does not train', () => {
    const trained = parameters(reference({ inferenceOnly: 'WebAssembly is disabled' }))
    expect(() => new SGD(trained).step()).toThrow(
      /SGD.step: expected a backend that trains.*WebAssembly is disabled.*setBackend\(reference/,
    )
  })
})

describe('loadStateDict', () => {
  /** The state of `optimizer` after a way through its own `loadStateDict`. */
  async function loaded(optimizer: Optimizer): Promise<OptimizerState> {
    loadStateDict(optimizer, await stateDict(optimizer))
    return stateDict(optimizer)
  }

  async function pair(): Promise<{ optimizer: AdamW; state: OptimizerState }> {
    const trained = parameters(reference())
    const optimizer = new AdamW([
      { params: trained.slice(0, 1), lr: 0.5 },
      { params: trained.slice(1) },
    ])
    give(trained, gradientsOf(1))
    optimizer.step()
    return { optimizer, state: await stateDict(optimizer) }
  }

  test('lists what does not fit, and changes nothing', async () => {
    const { optimizer, state } = await pair()
    const before = await everything(optimizer.parameters, optimizer)
    const { '0.exp_avg': _, ...tensors } = state.tensors
    const wrong: Record<string, OptimizerState> = {
      'state of AdamW, got that of Adam': { ...state, optimizer: 'Adam' },
      'expected 2 groups, got 1': { ...state, groups: state.groups.slice(1) },
      'group 0: lr must be': {
        ...state,
        groups: [{ ...state.groups[0], lr: -1 }, state.groups[1]],
      },
      'group 1: betas': {
        ...state,
        groups: [state.groups[0], { ...state.groups[1], options: { betas: 1 } }],
      },
      'expected parameters 0, got 1': { ...state, groups: [state.groups[1], state.groups[1]] },
      'expected 2 parameters, got 0': { ...state, parameters: [] },
      'parameter 0 was "x"': {
        ...state,
        parameters: [{ name: 'x', shape: [2, 3] }, state.parameters[1]],
      },
      'parameter 0 is [2, 3], was [3, 2]': {
        ...state,
        parameters: [{ name: '', shape: [3, 2] }, state.parameters[1]],
      },
      'steps must be a whole number, got -1': { ...state, steps: -1 },
      'tensor "0.exp_avg" is missing': { ...state, tensors },
      'tensor "0.x" is not expected': {
        ...state,
        tensors: { ...state.tensors, '0.x': { shape: [], data: [1] } },
      },
      'tensor "0.exp_avg": expected [2, 3], got [6] with 6 elements': {
        ...state,
        tensors: { ...state.tensors, '0.exp_avg': { shape: [6], data: [1, 2, 3, 4, 5, 6] } },
      },
      'tensor "1.exp_avg_sq": element 2 is NaN': {
        ...state,
        tensors: {
          ...state.tensors,
          '1.exp_avg_sq': { shape: [7], data: [1, 2, Number.NaN, 4, 5, 6, 7] },
        },
      },
      'tensor "1.step": expected a whole number, got 0.5': {
        ...state,
        tensors: { ...state.tensors, '1.step': { shape: [], data: [0.5] } },
      },
      'tensor "1.step": expected a whole number, got -1': {
        ...state,
        tensors: { ...state.tensors, '1.step': { shape: [], data: [-1] } },
      },
      'loadStateDict: tensor "1.step": expected [], got [] with 0 elements': {
        ...state,
        tensors: { ...state.tensors, '1.step': { shape: [], data: [] } },
      },
    }
    for (const [message, bad] of Object.entries(wrong)) {
      expect(() => loadStateDict(optimizer, bad), message).toThrow(message)
      expect(await everything(optimizer.parameters, optimizer)).toEqual(before)
      expect(optimizer.groups.map(({ lr }) => lr)).toEqual([0.5, 1e-3])
    }
  })

  test('rates and options come from the state, also of a parameter without a step', async () => {
    const { state } = await pair()
    const trained = parameters(reference())
    const groups = trained.map(parameter => ({ params: [parameter] }))
    const optimizer = new AdamW(groups, { lr: 7, betas: [0.1, 0.2] })
    const { '1.step': _s, '1.exp_avg': _m, '1.exp_avg_sq': _v, ...tensors } = state.tensors
    loadStateDict(optimizer, { ...state, tensors })
    expect(optimizer.groups.map(({ lr, initialLr }) => [lr, initialLr])).toEqual([
      [0.5, 0.5],
      [1e-3, 1e-3],
    ])
    expect(optimizer.groups[0].options.betas).toEqual([0.9, 0.999])
    expect((await stateDict(optimizer)).tensors).toEqual(tensors)
  })

  test('an optimizer without state expects none', async () => {
    const optimizer = new SGD(parameters(reference()))
    const tensors = { '0.step': { shape: [], data: [1] } }
    const state = { ...(await stateDict(optimizer)), tensors }
    expect(() => loadStateDict(optimizer, state)).toThrow('tensor "0.step" is not expected')
  })

  test('a state from before the first step is one', async () => {
    const optimizer = new AdamW(parameters(reference()))
    await expect(loaded(optimizer)).resolves.toEqual(await stateDict(optimizer))
  })

  test('so is that of a first step that was refused', async () => {
    const trained = parameters(reference())
    const optimizer = new AdamW(trained)
    give(trained, [[Number.NaN, 0, 0, 0, 0, 0], gradientsOf(1)[1]])
    optimizer.step()
    const state = await stateDict(optimizer)
    expect(Array.from(state.tensors['0.step'].data)).toEqual([0])
    await expect(loaded(optimizer)).resolves.toEqual(state)
  })

  test('averages of one element are no counts', async () => {
    const [parameter] = withBackend(reference(), () => [new Parameter([1], [1])])
    const optimizer = new AdamW([parameter])
    setGradient(parameter, [0.5])
    optimizer.step()
    await expect(loaded(optimizer)).resolves.toEqual(await stateDict(optimizer))
  })
})
