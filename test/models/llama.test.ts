// A whole model against transformers and PEFT (golden case models/llama_list): logits of the base
// and the adapter, every gradient, twenty steps of AdamW, the trained adapter, the merged model.

import { readFileSync } from 'node:fs'
import { AdamW, backward, step, type Tensor, tensor, trainStep, withBackend } from 'lowrank'
import { adapterTensors, load, mergeAndUnload } from 'lowrank/lora'
import type { CausalLM } from 'lowrank/models'
import { loadModel } from 'lowrank/models/auto'
import { directory } from 'lowrank/node'
import { describe, expect, it } from 'vitest'
import type { Backend } from '../../src/core/backend.ts'
import { backends } from '../support/backends.ts'
import { type GoldenTensor, readSafetensors, scaledError } from '../support/fixture.ts'

const folder = new URL('../golden/models/llama_list/', import.meta.url)
const at = (name: string): URL => new URL(name, folder)
const golden = JSON.parse(readFileSync(at('case.json'), 'utf8'))
const data = readSafetensors(at('data.safetensors'))
const get = (name: string): GoldenTensor => data.get(name) as GoldenTensor

function int32(name: string): Tensor {
  const { data: values, shape } = get(name)
  return tensor(values, shape, { dtype: 'int32' })
}

/** Values of the columns that are not padding. */
function unpadded(logits: ArrayLike<number>): number[] {
  const mask = get('attention_mask').data
  const V = logits.length / mask.length
  return Array.from(logits).filter((_, i) => mask[Math.floor(i / V)] === 1)
}

function expectLogits(got: Tensor, name: string): void {
  const error = scaledError(unpadded(got.dataSync()), unpadded(get(name).data))
  expect(error, name).toBeLessThanOrEqual(golden.tolerance[name])
}

/** Tests run inside one backend; loading is asynchronous, so it is set around each part. */
async function loaded(backend: Backend, adapter?: string): Promise<CausalLM> {
  const { setBackend } = await import('lowrank')
  setBackend(backend)
  try {
    const model = await loadModel(directory(at('base/')))
    if (adapter) {
      await load(model, directory(at(adapter)), { isTrainable: true })
    }
    return model
  } finally {
    setBackend(undefined)
  }
}

function lossOf(model: CausalLM): Tensor {
  return model.loss(int32('input_ids'), int32('labels'), { attentionMask: int32('attention_mask') })
}

function logitsOf(model: CausalLM): Tensor {
  return model.forward(int32('input_ids'), { attentionMask: int32('attention_mask') })
}

function expectTensors(model: CausalLM, want: Map<string, GoldenTensor>, tolerance: number): void {
  const tensors = adapterTensors(model, 'default')
  expect([...tensors.keys()].sort()).toEqual([...want.keys()].sort())
  for (const [key, parameter] of tensors) {
    const error = scaledError(parameter.dataSync(), (want.get(key) as GoldenTensor).data)
    expect(error, key).toBeLessThanOrEqual(tolerance)
  }
}

describe.each(backends)('llama_list on $name', ({ make }) => {
  it('gives the logits of the base', async () => {
    const backend = make()
    const model = await loaded(backend)
    withBackend(backend, () => expectLogits(logitsOf(model), 'logits_base'))
  })

  it('gives the logits, the loss and every gradient of the adapter', async () => {
    const backend = make()
    const model = await loaded(backend, 'adapter/')
    withBackend(backend, () => {
      expectLogits(logitsOf(model), 'logits_adapter')
      const loss = step(() => {
        const value = lossOf(model)
        backward(value)
        return value
      }).itemSync()
      expect(Math.abs(loss / golden.loss - 1)).toBeLessThanOrEqual(golden.tolerance.loss)
      for (const [key, parameter] of adapterTensors(model, 'default')) {
        const error = scaledError(parameter.grad?.dataSync() ?? [], get(`grad.${key}`).data)
        expect(error, key).toBeLessThanOrEqual(golden.tolerance.grads)
      }
    })
  })

  it('trains as PyTorch does for twenty steps', async () => {
    const backend = make()
    const model = await loaded(backend, 'adapter/')
    const { lr, betas, eps, weight_decay: weightDecay } = golden.optimizer
    const losses: number[] = []
    const optimizer = new AdamW(model.trainable(), { lr, betas, eps, weightDecay })
    for (let i = 0; i < golden.steps; i++) {
      losses.push(await trainStep(optimizer, () => withBackend(backend, () => lossOf(model))))
    }
    withBackend(backend, () => {
      losses.push(lossOf(model).itemSync())
      expect(losses.length).toBe(golden.losses.length)
      losses.forEach((loss, i) => {
        const off = Math.abs(loss / golden.losses[i] - 1)
        expect(off, `step ${i}`).toBeLessThanOrEqual(golden.tolerance.losses)
      })
      const trained = readSafetensors(at('trained/adapter_model.safetensors'))
      expectTensors(model, trained, golden.tolerance.trained)
      expectLogits(logitsOf(model), 'logits_trained')
    })
  })

  it('merges to the weights and logits of merge_and_unload', async () => {
    const backend = make()
    const model = await loaded(backend, 'adapter/')
    withBackend(backend, () => {
      mergeAndUnload(model)
      expectLogits(logitsOf(model), 'logits_merged')
      const want = readSafetensors(at('merged/model.safetensors'))
      for (const [name, parameter] of model.namedParameters()) {
        const error = scaledError(parameter.dataSync(), (want.get(name) as GoldenTensor).data)
        expect(error, name).toBeLessThanOrEqual(golden.tolerance.logits_merged)
      }
    })
  })
})
