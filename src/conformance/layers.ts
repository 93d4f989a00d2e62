// Cases of the family layers: one layer under one or several adapters, its output and gradients, and the
// layer they merge to. In half precision the adapter and all sums are float32 here, so that y is nearer
// to the exact value than PEFT's, while merged weights agree bit for bit but for roundings.

import type { Backend } from '../core/backend.ts'
import { narrow } from '../core/half.ts'
import { Parameter } from '../core/parameter.ts'
import { type Draw, withDraws } from '../core/random_state.ts'
import { backward, step } from '../core/tape.ts'
import { type Tensor, tensor } from '../core/tensor.ts'
import {
  deltaWeight,
  EXTENSIONS,
  LoraModule,
  type LoraState,
  mergedLayer,
  onCpu,
} from '../lora/index.ts'
import { type Adaptable, Conv1D, Conv2d, Embedding, Linear } from '../nn/index.ts'
import { reshape } from '../ops/index.ts'
import type { Case, CaseJson, CaseTensor } from './case.ts'
import { type Answered, type Check, checkThat, compareTensor, scaledError } from './compare.ts'
import {
  type Answer,
  allAnswered,
  answered,
  type CaseKind,
  compareOutputs,
  stored,
} from './kind.ts'

type Half = 'float16' | 'bfloat16'

/** Zeros around an image, which PyTorch also has names for: none, or as many as keep its size. */
function paddingOf({ padding, kernel }: CaseJson): readonly [number, number] {
  if (typeof padding !== 'string') {
    return padding
  }
  return padding === 'valid' ? [0, 0] : kernel.map((taps: number) => (taps - 1) / 2)
}

const LAYERS: Readonly<Record<string, (layer: CaseJson) => Adaptable>> = {
  linear: ({ din, dout }) => new Linear(din, dout, { bias: false }),
  conv1d: ({ din, dout }) => new Conv1D(din, dout, { bias: false }),
  embedding: ({ rows, dim, padding_idx }) =>
    new Embedding(rows, dim, { paddingIdx: padding_idx ?? undefined }),
  conv2d: ({ cin, cout, kernel, stride, dilation, groups, padding_mode, ...layer }) =>
    new Conv2d(cin, cout, kernel, {
      stride,
      padding: paddingOf({ ...layer, kernel }),
      dilation,
      groups,
      paddingMode: padding_mode,
      bias: false,
    }),
}

function parameter({ data, shape }: CaseTensor, dtype?: Half): Parameter {
  return new Parameter(dtype ? narrow(data, dtype) : data, shape, { dtype })
}

function optional(example: Case, name: string, dtype?: Half): Parameter | undefined {
  const found = example.tensors.get(name)
  return found && parameter(found, dtype)
}

/** The names of A and B in a case of this kind. */
function factorNames(kind: string): readonly [string, string] {
  return kind === 'embedding' ? ['lora_embedding_A', 'lora_embedding_B'] : ['lora_A', 'lora_B']
}

function stateOf(example: Case, name: string, prefix: string): LoraState {
  const { kind, adapters } = example.json
  const { r, lora_alpha, scaling, use_dora, dropout } = adapters[name]
  const [A, B] = factorNames(kind).map(factor => parameter(stored(example, prefix + factor)))
  const config = { useDora: use_dora }
  const variant = EXTENSIONS.flatMap(({ variant }) => variant?.(config as CaseJson) ?? [])[0]
  const magnitude = optional(example, `${prefix}magnitude`)
  return {
    r,
    loraAlpha: lora_alpha,
    scaling,
    loraDropout: dropout?.p ?? 0,
    A,
    B,
    bias: optional(example, `${prefix}lora_B.bias`),
    ...(variant && { variant, split: variant.split }),
    ...(magnitude && { extra: { lora_magnitude_vector: magnitude } }),
  }
}

/** Tensors of one adapter among several are named after it. */
function prefixOf({ json, tensors }: Case, name: string): string {
  const [A] = factorNames(json.kind)
  return tensors.has(`${name}.${A}`) ? `${name}.` : ''
}

function layerOf(example: Case): LoraModule {
  const { kind, layer: sizes, adapters, active, dtype } = example.json
  const base = LAYERS[kind](sizes)
  base.weight = parameter(stored(example, 'base.weight'), dtype)
  base.weight.freeze()
  const bias = optional(example, 'base.bias', dtype)
  if (bias) {
    base.bias = bias
  }
  const layer = new LoraModule(base)
  for (const name of Object.keys(adapters)) {
    layer.adapters.set(name, stateOf(example, name, prefixOf(example, name)))
  }
  layer.active = active ?? Object.keys(adapters)
  return layer
}

function inputOf(example: Case): Tensor {
  const { data, shape, dtype } = stored(example, 'x')
  return dtype === 'I64'
    ? tensor(data, shape, { dtype: 'int32' })
    : tensor(data, shape, { requiresGrad: true })
}

/** What each adapter is on its own: its product, and the magnitude it would start from. */
function adapterTensors(example: Case, layer: LoraModule): Record<string, Answered | Tensor> {
  const found: Record<string, Answered | Tensor> = {}
  for (const [name, state] of layer.adapters) {
    const prefix = prefixOf(example, name)
    if (example.json.mergeable) {
      found[`${prefix}delta_weight`] = deltaWeight(layer, state)
    }
    const magnitude = state.variant?.extraStart?.(layer, state).lora_magnitude_vector
    const shape = state.extra?.lora_magnitude_vector?.shape
    if (magnitude && shape) {
      found[`${prefix}magnitude_init`] =
        magnitude instanceof Parameter ? magnitude : { shape, data: magnitude }
    }
  }
  return found
}

/** The gradients of sum(y · dy), under the names of the case. */
function gradientsOf(
  example: Case,
  layer: LoraModule,
  x: Tensor,
): Record<string, Tensor | undefined> {
  const [nameA, nameB] = factorNames(example.json.kind)
  const found: Record<string, Tensor | undefined> = {
    d_x: x.grad,
    'd_base.bias': layer.base.bias?.grad,
  }
  for (const [name, { A, B, bias, extra }] of layer.adapters) {
    const prefix = `d_${prefixOf(example, name)}`
    found[prefix + nameA] = A.grad
    found[prefix + nameB] = B.grad
    found[`${prefix}lora_B.bias`] = bias?.grad
    found[`${prefix}magnitude`] = extra?.lora_magnitude_vector?.grad
  }
  return found
}

/** Whether DoRA acts on the bias of another update, which merging adds to the base's as it is. */
function scalesBias({ adapters, active }: CaseJson): boolean {
  const own = (active as string[]).map(name => adapters[name])
  const first = own.findIndex(({ lora_bias: biased }) => biased)
  return first >= 0 && own.slice(first).some(({ use_dora: dora }) => dora)
}

/**
 * Whether PEFT's merged layer gives what the layer gave. Updates are padded with zeros and never
 * dilated: where the base is otherwise, merging changes results.
 */
function mergesToSame({ json }: Case): boolean {
  const { padding_mode: mode = 'zeros', dilation = 1 } = json.layer
  return mode === 'zeros' && [dilation].flat().every(step => step === 1) && !scalesBias(json)
}

/** The seed of the masks; a step's first one has the stream named 1/0, the next 1/1, as cases store them. */
function drawsOf({ adapters }: CaseJson): Draw {
  const own = Object.values(adapters as CaseJson) as { dropout?: { seed: number } }[]
  return { seed: own.find(({ dropout }) => dropout)?.dropout?.seed ?? 0, stream: 0 }
}

async function runMixed(example: Case): Promise<Answer> {
  const { adapter_names: adapterNames } = example.json
  const y = layerOf(example).forward(inputOf(example), { adapterNames })
  return { tensors: { y: await answered(y) } }
}

async function runHalf(example: Case): Promise<Answer> {
  const layer = layerOf(example)
  const y = layer.forward(inputOf(example))
  const tensors = { y, y_exact: y }
  if (!example.tensors.has('merged.weight')) {
    return { tensors: await allAnswered(tensors) }
  }
  const merged = await onCpu(layer, () => mergedLayer(layer))
  return { tensors: await allAnswered({ ...tensors, 'merged.weight': merged.weight }) }
}

async function runWhole(example: Case): Promise<Answer> {
  const layer = layerOf(example)
  const x = inputOf(example)
  const dy = stored(example, 'dy')
  const forward = (): Tensor => {
    const y = withDraws(drawsOf(example.json), () => layer.forward(x))
    // PEFT's DoRA makes a row of a single vector.
    return x.shape.length === 1 ? reshape(y, dy.shape) : y
  }
  const y = step(() => {
    const output = forward()
    backward(output, tensor(dy.data, dy.shape))
    return output
  })
  const merged = example.json.mergeable ? await onCpu(layer, () => mergedLayer(layer)) : undefined
  const own = adapterTensors(example, layer)
  const tensors = await allAnswered({
    y,
    y_base: layer.forward(x, { adapter: null }),
    y_merged: mergesToSame(example) ? merged?.forward(x) : undefined,
    ...gradientsOf(example, layer, x),
    'merged.weight': merged?.weight,
    'merged.bias': merged?.bias,
  })
  for (const [name, value] of Object.entries(own)) {
    tensors[name] = 'storage' in value ? await answered(value) : value
  }
  return { tensors }
}

/** How many elements have the stored bits, and by how many units the others are off. */
function compareBits(example: Case, answer: Answer): Check[] {
  const { dtype, tolerance } = example.json
  const want = narrow(stored(example, 'merged.weight').data, dtype)
  const got = narrow(answer.tensors['merged.weight']?.data ?? [], dtype)
  const off = [...want].map((bits, i) => Math.abs(bits - (got[i] ?? Number.POSITIVE_INFINITY)))
  const equal = off.filter(units => units === 0).length / off.length
  const least = tolerance.merged_bit_equal_fraction
  const most = Math.max(...off)
  return [
    checkThat('merged.weight', equal >= least, `${equal} of the elements are equal, not ${least}`),
    { what: 'merged.weight in units', error: most, tolerance: tolerance.merged_ulp },
  ]
}

/**
 * Whether PEFT rounds on the way to the merged weight: an embedding's update before it is added, and the
 * sum after each of several adapters. Here it is rounded once.
 */
function roundsOften({ kind, adapters }: CaseJson): boolean {
  return kind === 'embedding' || Object.keys(adapters).length > 1
}

function compareMerged(example: Case, answer: Answer): Check[] {
  const { tensors, json } = example
  if (!tensors.has('merged.weight')) {
    return []
  }
  const [got, want] = [answer.tensors['merged.weight'], stored(example, 'merged.weight')]
  return roundsOften(json)
    ? [compareTensor('merged.weight', got, want, json.tolerance.y)]
    : compareBits(example, answer)
}

/** PEFT's own y is off by roundings of the stored type; the exact one bounds this library. */
function compareHalf(example: Case, answer: Answer): Check[] {
  const { tolerance } = example.json
  return [
    compareTensor('y', answer.tensors.y, stored(example, 'y'), tolerance.y),
    compareTensor('y_exact', answer.tensors.y_exact, stored(example, 'y_exact'), tolerance.y),
    ...compareMerged(example, answer),
  ]
}

const layer: CaseKind = {
  run(example: Case, _backend: Backend) {
    if (example.json.adapter_names) {
      return runMixed(example)
    }
    return example.json.dtype ? runHalf(example) : runWhole(example)
  },

  compare(example, answer, precision) {
    if (example.json.dtype) {
      return compareHalf(example, answer)
    }
    const checks = compareOutputs(example, answer, precision)
    const merged = answer.tensors.y_merged
    if (merged) {
      const { f64, f32 } = example.json.tolerance
      const error = scaledError(merged.data, stored(example, 'y').data)
      checks.push({ what: 'y of the merged layer', error, tolerance: precision === 64 ? f64 : f32 })
    }
    return checks
  },
}

export const layerKinds: Readonly<Record<string, CaseKind>> = Object.fromEntries(
  Object.keys(LAYERS).map(kind => [`layers/${kind}`, layer]),
)
