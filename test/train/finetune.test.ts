import { attach, LowrankError, manualSeed } from 'lowrank'
import { memoryDirectory } from 'lowrank/io'
import { adapterTensors, loraLayers, saveAdapter } from 'lowrank/lora'
import type { CausalLM } from 'lowrank/models'
import { evaluateLoss, type FinetuneOptions, finetune, tokenizeExamples } from 'lowrank/train'
import { describe, expect, it } from 'vitest'
import { tinyLlama } from '../support/models.ts'
import { WordTokenizer } from '../support/words.ts'

const WORDS = 'red green blue one two three cat dog bird sits runs sleeps here there now then'
const tokenizer = new WordTokenizer(WORDS)

const data = Array.from({ length: 22 }, (_, i) => {
  const words = WORDS.split(' ')
  return {
    prompt: `${words[i % 3]} ${words[3 + (i % 4)]}`,
    completion: [words[6 + (i % 3)], words[9 + (i % 5)]].slice(0, 1 + (i % 2)).join(' '),
  }
})

function fresh(options: object = {}): CausalLM {
  manualSeed(3)
  const model = tinyLlama()
  manualSeed(4)
  return attach(model, { r: 2, targetModules: 'all-linear', ...options })
}

const settings = { tokenizer, data, epochs: 3, batchSize: 4, lr: 1e-2, seed: 7 }

async function bytesOf(model: CausalLM): Promise<Uint8Array> {
  const files = memoryDirectory()
  await saveAdapter(model, files)
  return files.read('adapter_model.safetensors')
}

describe('finetune', () => {
  it('lowers the loss and reports every step', async () => {
    const model = fresh()
    const steps: number[] = []
    const run = await finetune(model, {
      ...settings,
      epochs: 8,
      onStep: ({ step, totalSteps, lr, gradNorm, tokensPerSecond }) => {
        steps.push(step)
        expect(totalSteps).toBe(48)
        expect(lr).toBeGreaterThanOrEqual(0)
        expect(gradNorm).toBeGreaterThan(0)
        expect(tokensPerSecond).toBeGreaterThan(0)
      },
    })
    expect(steps).toEqual(Array.from({ length: 48 }, (_, i) => i + 1))
    expect(run.losses.length).toBe(48)
    expect(run.losses[47]).toBeLessThan(run.losses[0] * 0.8)
    expect(run.interrupted).toBe(false)
  })

  it('gives the same bytes for the same seed, and others for another', async () => {
    const train = async (seed: number): Promise<Uint8Array> => {
      const model = fresh({ loraDropout: 0.2 })
      await finetune(model, { ...settings, seed })
      return bytesOf(model)
    }
    const first = await train(7)
    expect(await train(7)).toEqual(first)
    expect(await train(8)).not.toEqual(first)
  })

  it('accumulates to nearly the gradient of the whole batch', async () => {
    const train = async (batchSize: number, steps: number): Promise<readonly number[]> => {
      const model = fresh()
      const options = { ...settings, batchSize, gradientAccumulationSteps: steps, epochs: 1 }
      const run = await finetune(model, { ...options, data: data.slice(0, 8) })
      expect(run.steps).toBe(1)
      const tensors = [...adapterTensors(model, 'default').values()]
      return tensors.flatMap(parameter => [...parameter.dataSync()])
    }
    const whole = await train(8, 1)
    const parts = await train(2, 4)
    const apart = Math.max(...whole.map((value, i) => Math.abs(value - parts[i])))
    // A first AdamW step moves every element by about lr, whatever the gradient's size.
    expect(apart).toBeLessThan(1e-2 * 1e-2)
  })

  it('keeps the parameters of the lowest evaluation loss', async () => {
    const model = fresh()
    const evalData = data.slice(0, 5)
    const run = await finetune(model, { ...settings, lr: 0.5, epochs: 6, evalData, evalEvery: 2 })
    const lowest = Math.min(...run.evals.map(({ loss }) => loss))
    const best = run.evals.filter(({ loss }) => loss === lowest)[0]
    expect(run.bestStep).toBe(best.step)
    const tokenized = tokenizeExamples(evalData, tokenizer, { maxTokens: 32 })
    expect(await evaluateLoss(model, tokenized)).toBeCloseTo(lowest, 5)
  })

  it('refuses a model with nothing to train', async () => {
    await expect(finetune(tinyLlama(), settings)).rejects.toThrow('every parameter frozen')
  })

  it('lists every option out of range', async () => {
    const wrong = { ...settings, lr: 0, epochs: 1.5, warmupRatio: 2 }
    await expect(finetune(fresh(), wrong)).rejects.toThrow(
      /3 problems[\s\S]*epochs[\s\S]*lr[\s\S]*warmupRatio/,
    )
  })

  it('refuses options that it does not know', async () => {
    const wrong = { ...settings, learningRate: 1e-3 }
    await expect(finetune(fresh(), wrong)).rejects.toThrow(
      /learningRate: unknown option \(known: lr, .*, resume/,
    )
  })

  it('refuses to learn from nothing, and to say how good a model is at nothing', async () => {
    const nothing = { ...settings, data: [] }
    await expect(finetune(fresh(), nothing)).rejects.toThrow('expected at least one example')
    await expect(evaluateLoss(fresh(), [])).rejects.toThrow('expected at least one example')
  })

  it('keeps the last good parameters when numbers run away', async () => {
    const model = fresh()
    const state = loraLayers(model)[0].layer.adapters.get('default')
    let good: ArrayLike<number> = []
    const options: FinetuneOptions = {
      ...settings,
      lr: 1e30,
      maxGradNorm: 1e30,
      warmupRatio: 0,
      onStep: () => {
        good = state?.A.dataSync() ?? []
      },
    }
    const error = await finetune(model, options).catch(reason => reason)
    expect(error).toBeInstanceOf(LowrankError)
    expect(error.code).toBe('numeric')
    expect(state?.A.dataSync()).toEqual(good)
  })
})

describe('a run that is stopped', () => {
  async function stopped(at: number, options: object = {}) {
    const controller = new AbortController()
    const model = fresh({ loraDropout: 0.2 })
    const run = await finetune(model, {
      ...settings,
      ...options,
      signal: controller.signal,
      onStep: ({ step }) => step === at && controller.abort(),
    })
    const checkpoint = memoryDirectory()
    await run.saveCheckpoint(checkpoint)
    return { run, checkpoint }
  }

  it('says so, and ends with the same bytes when it is resumed', async () => {
    const evalData = data.slice(0, 4)
    const whole = fresh({ loraDropout: 0.2 })
    const complete = await finetune(whole, { ...settings, evalData })
    const { run, checkpoint } = await stopped(8, { evalData })
    expect(run.interrupted).toBe(true)
    expect(run.steps).toBe(8)
    const model = fresh({ loraDropout: 0.2 })
    const rest = await finetune(model, { ...settings, evalData, resume: checkpoint })
    expect(rest.losses).toEqual(complete.losses)
    expect(rest.evals).toEqual(complete.evals)
    expect(await bytesOf(model)).toEqual(await bytesOf(whole))
  })

  it('resumes only with the same options, data and targets', async () => {
    const { checkpoint } = await stopped(2)
    const model = fresh({ loraDropout: 0.2 })
    const changed = { ...settings, lr: 0.5, data: data.slice(1), resume: checkpoint }
    await expect(finetune(model, changed)).rejects.toThrow(
      /2 problems[\s\S]*lr was 0.01 and is now 0.5[\s\S]*22 examples and has now 21/,
    )
    manualSeed(3)
    const other = attach(tinyLlama(), { r: 2 })
    await expect(finetune(other, { ...settings, resume: checkpoint })).rejects.toThrow(
      'trained parameters were',
    )
  })
})
