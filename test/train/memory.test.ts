// Nobody disposes tensors, and nothing leaks: bytes in use, the memory itself and the JavaScript heap
// are the same after step 10 and after step 2,000, of training and of evaluation outside any step.

import {
  AdamW,
  attach,
  LowrankError,
  noGrad,
  step,
  type Tensor,
  tensor,
  trainStep,
  withBackend,
} from 'lowrank'
import { attach as attachAll, type LoraConfig } from 'lowrank/lora'
import { planMemory } from 'lowrank/train'
import { describe, expect, it } from 'vitest'
import { nextDraw, replayDraws } from '../../src/core/random_state.ts'
import { relu } from '../../src/ops/relu.ts'
import { backends } from '../support/backends.ts'
import { tinyLlama } from '../support/models.ts'

const collect = (globalThis as { gc?: () => void }).gc as () => void

async function heapUsed(): Promise<number> {
  for (let i = 0; i < 4; i++) {
    collect()
    await new Promise(resolve => setTimeout(resolve, 5))
  }
  return process.memoryUsage().heapUsed
}

// Compiled code and type feedback of the engine grow while it warms up, by a megabyte or two, and come
// and go by a hundred kilobytes later. A leak shows in every stretch of steps, so the stretch that
// grows least is held to less than 60 bytes a step.
const WARM_UP = 3_000_000
const STRETCHES = 6
const PER_STRETCH = 30_000
const STEPS = 3_000

function batch(): { ids: Tensor; labels: Tensor } {
  const ids = Int32Array.from({ length: 2 * 6 }, (_, i) => (i * 7) % 40)
  return {
    ids: tensor(ids, [2, 6], { dtype: 'int32' }),
    labels: tensor(ids, [2, 6], { dtype: 'int32' }),
  }
}

async function steady(run: () => Promise<unknown>, report: () => object): Promise<void> {
  const until = async (from: number, to: number): Promise<number> => {
    for (let i = from; i < to; i++) {
      await run()
    }
    return heapUsed()
  }
  const early = await until(0, 10)
  const before = report()
  const sizes = [early]
  for (let i = 0; i < STRETCHES; i++) {
    sizes.push(await until(Math.max(10, (i * STEPS) / STRETCHES), ((i + 1) * STEPS) / STRETCHES))
  }
  expect(report()).toEqual(before)
  expect(sizes[STRETCHES] - early).toBeLessThan(WARM_UP)
  const growths = sizes.slice(1).map((size, i) => size - sizes[i])
  expect(Math.min(...growths), growths.join(', ')).toBeLessThan(PER_STRETCH)
}

describe('on wasm', () => {
  const { make } = backends.filter(({ name }) => name === 'wasm')[0]

  it(`training uses the same memory after ${STEPS} steps`, async () => {
    const backend = make()
    const { model, optimizer } = withBackend(backend, () => {
      const made = attach(tinyLlama(), { r: 2, targetModules: 'all-linear', loraDropout: 0.1 })
      return { model: made, optimizer: new AdamW(made.trainable(), { lr: 1e-3 }) }
    })
    const run = async (): Promise<number> => {
      const { ids, labels } = withBackend(backend, batch)
      return trainStep(optimizer, () => model.loss(ids, labels), { maxGradNorm: 1 })
    }
    await steady(run, () => ({ ...backend.memory(), peak: 0 }))
  })

  it(`evaluation outside any step uses the same memory after ${STEPS} rounds`, async () => {
    const backend = make()
    const model = withBackend(backend, () => attach(tinyLlama(), { r: 2 }))
    const run = async (): Promise<number> =>
      withBackend(backend, () => {
        const { ids, labels } = batch()
        return relu(model.loss(ids, labels)).itemSync()
      })
    await steady(run, () => backend.memory())
  })

  it('a full fine-tune ends with the memory it began with', async () => {
    const backend = make()
    const model = withBackend(backend, () => tinyLlama().unfreeze())
    const optimizer = new AdamW(model.trainable(), { lr: 1e-3 })
    const run = async (): Promise<number> => {
      const { ids, labels } = withBackend(backend, batch)
      return trainStep(optimizer, () => model.loss(ids, labels))
    }
    await run()
    const before = backend.memory()
    await run()
    expect(backend.memory().used).toBe(before.used)
    const trained = model.trainable().reduce((sum, { size }) => sum + size * 4, 0)
    optimizer.dispose()
    model.dispose()
    // Weights, gradients and two moments are gone; scratch and rotary tables stay.
    expect(before.used - backend.memory().used).toBeGreaterThanOrEqual(4 * trained)
  })

  it.each([
    {},
    { targetModules: 'all-linear' },
    { targetModules: ['embed_tokens', 'lm_head', 'q_proj'] },
    { useDora: true },
    { initLoraWeights: 'pissa', targetModules: 'all-linear' },
    { modulesToSave: ['lm_head', 'norm'] },
    { trainableTokenIndices: [3, 9] },
    { bias: 'all' },
    { layersToTransform: [1] },
    { useLoraFa: true, loraDropout: 0.1 },
    { modulesToSave: ['lm_head'], trainableTokenIndices: [1], useDora: true },
  ] satisfies LoraConfig[])(
    'the memory plan is the peak of the real step: %j',
    async (config: LoraConfig) => {
      const backend = make()
      const targets = { r: 2, targetModules: ['q_proj', 'v_proj'], ...config }
      const overrides = { attention_bias: config.bias === 'all' }
      const model = withBackend(backend, () => attachAll(tinyLlama(overrides), targets))
      const before = backend.memory().used
      const next = replayDraws()(nextDraw)
      const plan = planMemory(model, { batch: 3, tokens: 20 })
      expect(nextDraw()).toEqual(next)
      expect(backend.memory().used).toBe(before)
      const optimizer = new AdamW(model.trainable(), { lr: 1e-3 })
      const ids = withBackend(backend, () =>
        tensor(new Int32Array(60).fill(3), [3, 20], { dtype: 'int32' }),
      )
      await trainStep(optimizer, () => model.loss(ids, ids), { maxGradNorm: 1 })
      const { peak } = backend.memory()
      expect(Math.abs(plan.total - peak) / peak).toBeLessThan(0.02)
      expect(plan.base + plan.trainable + plan.gradients + plan.optimizer + plan.step).toBe(
        plan.total,
      )
    },
  )
})

describe.each(backends)('scopes on $name', ({ make }) => {
  it('a tensor used after its scope is an error that says so', () => {
    withBackend(make(), () => {
      let inner: Tensor | undefined
      step(() => {
        inner = relu(tensor([1, -1], [2]))
      })
      expect(() => relu(inner as Tensor)).toThrow('used after the scope that owned it was left')
      expect(() => (inner as Tensor).dataSync()).toThrow(LowrankError)
    })
  })

  it('what a step returns is a copy that JavaScript owns', () => {
    withBackend(make(), () => {
      const y = step(() => ({ list: [relu(tensor([1, -1], [2]))] })).list[0]
      expect(Array.from(y.dataSync())).toEqual([1, 0])
      expect(Array.from(relu(y).dataSync())).toEqual([1, 0])
    })
  })

  it('a step that returns a promise is a TypeError', () => {
    withBackend(make(), () => {
      expect(() => step(async () => relu(tensor([1], [1])))).toThrow(TypeError)
      expect(() => step(() => step(() => 1))).toThrow('a step is already running')
      expect(noGrad(() => 3)).toBe(3)
    })
  })

  it('an error inside a step gives all memory back', () => {
    const backend = make()
    withBackend(backend, () => {
      const x = tensor([1, -1], [2], { requiresGrad: true })
      const run = (fail: boolean): void =>
        step(() => {
          relu(relu(x))
          if (fail) {
            throw new Error('inside')
          }
        })
      run(false)
      const { used } = backend.memory()
      expect(() => run(true)).toThrow('inside')
      expect(backend.memory().used).toBe(used)
    })
  })
})
