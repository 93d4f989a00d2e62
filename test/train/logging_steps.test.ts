// Losses that are read every few steps: the same run, fewer waits, and errors that are seen later.

import {
  attach,
  type Backend,
  type LowrankError,
  manualSeed,
  matmul,
  mul,
  Parameter,
  reshape,
  SGD,
  type SgdOptions,
  setBackend,
  sum,
  type Tensor,
  tensor,
} from 'lowrank'
import type { CausalLM } from 'lowrank/models'
import { type FinetuneOptions, finetune, type StepReport } from 'lowrank/train'
import { wasm } from 'lowrank/wasm'
import { afterEach, describe, expect, it } from 'vitest'
import { UnreadSteps } from '../../src/train/unread_steps.ts'
import { DeferredBackend } from '../support/deferred.ts'
import { tinyLlama } from '../support/models.ts'
import { WordTokenizer } from '../support/words.ts'

const tokenizer = new WordTokenizer('red green blue cat dog bird')
const data = Array.from({ length: 12 }, (_, i) => ({
  prompt: ['red', 'green', 'blue'][i % 3],
  completion: ['cat', 'dog', 'bird'][i % 3],
}))
const settings = { tokenizer, data, epochs: 5, batchSize: 4, lr: 1e-2, seed: 7 }
const STEPS = 15

afterEach(() => setBackend(undefined))

function fresh(backend: Backend): CausalLM {
  setBackend(backend)
  manualSeed(3)
  return attach(tinyLlama(), { r: 2, targetModules: ['q_proj', 'v_proj'], loraDropout: 0.1 })
}

async function trained(backend: Backend, options: Partial<FinetuneOptions> = {}) {
  const model = fresh(backend)
  const reports: Omit<StepReport, 'tokensPerSecond'>[] = []
  const run = await finetune(model, {
    ...settings,
    ...options,
    onStep: ({ tokensPerSecond, ...report }) => {
      expect(tokensPerSecond).toBeGreaterThan(0)
      reports.push(report)
    },
  })
  const parameters = await Promise.all(model.trainable().map(parameter => parameter.data()))
  return { run, reports, parameters }
}

describe('loggingSteps', () => {
  it('changes nothing but when the losses are known', async () => {
    const each = await trained(wasm())
    const rarely = await trained(wasm(), { loggingSteps: 4 })
    expect(each.reports.length).toBe(STEPS)
    expect(rarely.reports).toEqual(each.reports)
    expect(rarely.run.losses).toEqual(each.run.losses)
    expect(rarely.run.losses).toEqual(rarely.reports.map(({ loss }) => loss))
    expect(rarely.parameters).toEqual(each.parameters)
    expect(rarely.run.tokens).toBe(each.run.tokens)
  })

  it('reads once every so many steps, of a device that is waited for', async () => {
    const backend = new DeferredBackend()
    const model = fresh(backend)
    const readsAt: number[] = []
    let before = 0
    await finetune(model, {
      ...settings,
      loggingSteps: 4,
      onStep: ({ step }) => {
        if (step === 1) {
          before = backend.reads
        }
        readsAt[step] = backend.reads - before
      },
    })
    // Steps 5 to 8 are told of after one read; what is between it and that of the first four looks at
    // adapters that might not move.
    expect([5, 6, 7, 8].map(step => readsAt[step] - readsAt[5])).toEqual([0, 0, 0, 0])
    expect([9, 13].map(step => readsAt[step] - readsAt[step - 4])).toEqual([1, 1])
    expect(readsAt[STEPS] - readsAt[13]).toBe(0)
  })

  it('gives the losses that reading at every step gives', async () => {
    const device = await trained(new DeferredBackend(), { loggingSteps: 6 })
    const thread = await trained(wasm())
    expect(device.reports).toEqual(thread.reports)
    expect(device.parameters).toEqual(thread.parameters)
  })

  it('reads before an evaluation, and at the end', async () => {
    const order: string[] = []
    await finetune(fresh(wasm()), {
      ...settings,
      epochs: 2,
      loggingSteps: 100,
      evalData: data.slice(0, 3),
      evalEvery: 4,
      onStep: ({ step }) => order.push(`step ${step}`),
      onEval: ({ step }) => order.push(`eval ${step}`),
    })
    const steps = (from: number, to: number) =>
      Array.from({ length: to - from + 1 }, (_, i) => `step ${from + i}`)
    expect(order).toEqual([...steps(1, 4), 'eval 4', ...steps(5, 6), 'eval 6'])
  })

  it('knows every loss of a run that is stopped', async () => {
    const controller = new AbortController()
    const run = await finetune(fresh(wasm()), {
      ...settings,
      loggingSteps: 2,
      signal: controller.signal,
      onStep: ({ step }) => step === 3 && controller.abort(),
    })
    expect(run.interrupted).toBe(true)
    expect(run.steps).toBe(4)
    expect(run.losses.length).toBe(4)
  })

  it('is a whole number from 1 up', async () => {
    for (const loggingSteps of [0, 1.5, -1]) {
      await expect(finetune(fresh(wasm()), { ...settings, loggingSteps })).rejects.toThrow(
        `loggingSteps: expected a whole number from 1 up, got ${loggingSteps}`,
      )
    }
  })
})

describe('a step that is refused', () => {
  /** Steps of w [2] with the loss w·x, whose gradient is x. */
  function problem(): {
    take: (x: number[]) => void
    steps: UnreadSteps<SgdOptions>
    w: Parameter
  } {
    const w = new Parameter([1, 1], [2, 1])
    w.name = 'w'
    const steps = new UnreadSteps(new SGD([w], { lr: 0.5 }))
    const take = (x: number[]): void => {
      steps.take([() => reshape(matmul(tensor(x, [1, 2]), w), [])], {})
    }
    return { take, steps, w }
  }

  /** A loss of 0 where w is 0, with a gradient beyond float32. */
  function overflowing(w: Parameter): Tensor {
    const large = mul(w, 3e38)
    return sum(mul(large, 3e38))
  }

  it('is named where its loss is read, with the steps after it', async () => {
    const { take, steps, w } = problem()
    take([1, 2])
    take([Number.NaN, 0])
    take([1, 0])
    take([0, 1])
    await expect(steps.read()).rejects.toThrow(
      'trainStep: step 2: expected a finite loss, got NaN (it changed nothing, and was seen 2 steps later; ',
    )
    expect([...(await w.data())]).toEqual([1 - 0.5 - 0.5, 1 - 1 - 0.5])
    expect(await steps.read()).toEqual([])
  })

  it('is named for its gradient where the loss is finite', async () => {
    const { take, steps, w } = problem()
    w.replace([0, 0])
    steps.take([() => overflowing(w)], {})
    take([1, 0])
    const error = await steps.read().catch((thrown: LowrankError) => thrown)
    expect(error).toMatchObject({ code: 'numeric' })
    expect(String(error)).toContain('step 1: expected finite gradients, got NaN or infinity')
    expect([...(await w.data())]).toEqual([-0.5, 0])
  })

  it('names the parameter where it is the last step', async () => {
    const { take, steps, w } = problem()
    w.replace([0, 0])
    take([0, 0])
    steps.take([() => overflowing(w)], {})
    await expect(steps.read()).rejects.toThrow(
      'step 2: expected a finite gradient, got NaN or infinity in that of parameter 0 (w) (nothing was changed',
    )
    expect([...(await w.data())]).toEqual([0, 0])
  })

  it('is named for its loss where it is the last step', async () => {
    const { take, steps } = problem()
    take([1, 0])
    take([Number.POSITIVE_INFINITY, 0])
    await expect(steps.read()).rejects.toThrow(
      'step 2: expected a finite loss, got Infinity (nothing',
    )
  })
})
