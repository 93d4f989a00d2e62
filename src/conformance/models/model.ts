// Whole models of the family models: logits [B, T, V] (or [B, L] of a classifier) of the base, of the adapter, after training
// and merged; the loss and every gradient; the losses of each step; the trained and merged weights.

import { withBackend } from '../../core/backend.ts'
import { backward, step } from '../../core/tape.ts'
import { type Tensor, tensor } from '../../core/tensor.ts'
import type { ByteSource } from '../../io/index.ts'
import { adapterTensors, load, mergeAndUnload, onCpu } from '../../lora/index.ts'
import { loadModel, loadSequenceClassifier, loadTokenClassifier } from '../../models/auto.ts'
import {
  type CausalLM,
  resizeTokenEmbeddings,
  type SequenceClassifier,
  type TokenClassifier,
} from '../../models/index.ts'
import { AdamW } from '../../optim/index.ts'
import { trainStep } from '../../train/index.ts'
import { type Case, folderOf } from '../case.ts'
import type { Answered } from '../compare.ts'
import { type Answer, answered, stored } from '../kind.ts'

type Found = Record<string, Answered | undefined>

type Model = CausalLM | SequenceClassifier | TokenClassifier

async function causalLM(base: ByteSource, json: Case['json']): Promise<CausalLM> {
  const model = await loadModel(base)
  if (json.resize_token_embeddings !== undefined) {
    await onCpu(model, () => resizeTokenEmbeddings(model, json.resize_token_embeddings))
  }
  return model
}

type Opener = (base: ByteSource, json: Case['json']) => Promise<Model>

/** How the base is read, by the task of the case. */
const OPENERS: Readonly<Record<string, Opener>> = {
  lm: causalLM,
  single_label: base => loadSequenceClassifier(base),
  multi_label: base => loadSequenceClassifier(base),
  regression: base => loadSequenceClassifier(base),
  token: base => loadTokenClassifier(base),
}

function int32(example: Case, name: string): Tensor {
  const { data, shape } = stored(example, name)
  return tensor(data, shape, { dtype: 'int32' })
}

/** The model of a folder, under the adapter of another if one is named. */
export async function opened({ files, json }: Case, adapter?: string): Promise<Model> {
  const open = OPENERS[json.task]
  if (!open) {
    throw new Error(`expected a task of ${Object.keys(OPENERS).join(', ')}, got "${json.task}"`)
  }
  const model = await open(folderOf(files, 'base'), json)
  if (adapter) {
    await load(model, folderOf(files, adapter), { isTrainable: true })
  }
  return model
}

function logitsOf(example: Case, model: Model): Promise<Answered | undefined> {
  const attentionMask = int32(example, 'attention_mask')
  return answered(model.forward(int32(example, 'input_ids'), { attentionMask }))
}

function lossOf(example: Case, model: Model): Tensor {
  const attentionMask = int32(example, 'attention_mask')
  const { data, shape, dtype } = stored(example, 'labels')
  const labels = tensor(data, shape, { dtype: dtype === 'I64' ? 'int32' : 'float32' })
  return model.loss(int32(example, 'input_ids'), labels, { attentionMask })
}

async function baseAnswer(example: Case, found: Found): Promise<void> {
  const model = await opened(example)
  found.logits_base = await logitsOf(example, model)
  model.dispose()
}

async function halfAnswer(example: Case, found: Found): Promise<void> {
  const model = await opened(example, 'adapter_half')
  found.logits_adapter_half = await logitsOf(example, model)
  model.dispose()
}

/** Logits, loss and gradients of the adapter as it is stored; then the weights it merges to. */
async function adapterAnswer(example: Case, found: Found): Promise<number> {
  const model = await opened(example, 'adapter')
  found.logits_adapter = await logitsOf(example, model)
  const loss = step(() => {
    const value = lossOf(example, model)
    backward(value)
    return value
  })
  for (const [key, parameter] of adapterTensors(model, 'default')) {
    found[`grad.${key}`] = await answered(parameter.grad)
  }
  await onCpu(model, () => mergeAndUnload(model, { dtype: 'float32', keepTied: true }))
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
  const model = await opened(example, 'adapter')
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
