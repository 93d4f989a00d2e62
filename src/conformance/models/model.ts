// Whole models of the family models: logits [B, T, V] of the base, of the adapter, after training
// and merged; the loss and every gradient; the losses of each step; the trained and merged weights.

import { withBackend } from '../../core/backend.ts'
import { backward, step } from '../../core/tape.ts'
import { type Tensor, tensor } from '../../core/tensor.ts'
import type { ByteSource } from '../../io/index.ts'
import { adapterTensors, load, mergeAndUnload } from '../../lora/index.ts'
import { loadModel } from '../../models/auto.ts'
import type { CausalLM } from '../../models/index.ts'
import { AdamW } from '../../optim/index.ts'
import { trainStep } from '../../train/index.ts'
import { type Case, folderOf } from '../case.ts'
import type { Answered } from '../compare.ts'
import { type Answer, answered, stored } from '../kind.ts'

type Found = Record<string, Answered | undefined>

function int32(example: Case, name: string): Tensor {
  const { data, shape } = stored(example, name)
  return tensor(data, shape, { dtype: 'int32' })
}

/** The model of a folder, under the adapter of another if one is named. */
async function opened(files: ByteSource, adapter?: string): Promise<CausalLM> {
  const model = await loadModel(folderOf(files, 'base'))
  if (adapter) {
    await load(model, folderOf(files, adapter), { isTrainable: true })
  }
  return model
}

function logitsOf(example: Case, model: CausalLM): Promise<Answered | undefined> {
  const attentionMask = int32(example, 'attention_mask')
  return answered(model.forward(int32(example, 'input_ids'), { attentionMask }))
}

function lossOf(example: Case, model: CausalLM): Tensor {
  const attentionMask = int32(example, 'attention_mask')
  return model.loss(int32(example, 'input_ids'), int32(example, 'labels'), { attentionMask })
}

async function baseAnswer(example: Case, found: Found): Promise<void> {
  const model = await opened(example.files)
  found.logits_base = await logitsOf(example, model)
  model.dispose()
}

async function halfAnswer(example: Case, found: Found): Promise<void> {
  const model = await opened(example.files, 'adapter_half')
  found.logits_adapter_half = await logitsOf(example, model)
  model.dispose()
}

/** Logits, loss and gradients of the adapter as it is stored; then the weights it merges to. */
async function adapterAnswer(example: Case, found: Found): Promise<number> {
  const model = await opened(example.files, 'adapter')
  found.logits_adapter = await logitsOf(example, model)
  const loss = step(() => {
    const value = lossOf(example, model)
    backward(value)
    return value
  })
  for (const [key, parameter] of adapterTensors(model, 'default')) {
    found[`grad.${key}`] = await answered(parameter.grad)
  }
  mergeAndUnload(model, { dtype: 'float32' })
  found.logits_merged = await logitsOf(example, model)
  for (const [name, parameter] of model.namedParameters()) {
    found[`merged.${name}`] = await answered(parameter)
  }
  const value = await loss.item()
  model.dispose()
  return value
}

/** The losses before each step on the one batch and after the last, and the trained adapter. */
async function trainedAnswer(example: Case, found: Found): Promise<number[]> {
  const model = await opened(example.files, 'adapter')
  const { lr, betas, eps, weight_decay: weightDecay } = example.json.optimizer
  const optimizer = new AdamW(model.trainable(), { lr, betas, eps, weightDecay })
  const { backend } = model.parameters()[0]
  const losses: number[] = []
  for (let i = 0; i < example.json.steps; i++) {
    losses.push(
      await trainStep(optimizer, () => withBackend(backend, () => lossOf(example, model))),
    )
  }
  losses.push(await lossOf(example, model).item())
  found.logits_trained = await logitsOf(example, model)
  for (const [key, parameter] of adapterTensors(model, 'default')) {
    found[`trained.${key}`] = await answered(parameter)
  }
  model.dispose()
  return losses
}

export async function run(example: Case): Promise<Answer> {
  if (example.json.task !== 'lm') {
    throw new Error(`expected a task lm, got ${JSON.stringify(example.json.task)}`)
  }
  const found: Found = {}
  if (example.tensors.has('logits_base')) {
    await baseAnswer(example, found)
  }
  if (example.tensors.has('logits_adapter_half')) {
    await halfAnswer(example, found)
  }
  const loss = await adapterAnswer(example, found)
  const losses = await trainedAnswer(example, found)
  return { tensors: found, json: { loss, losses } }
}
