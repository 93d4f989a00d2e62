// Adapters in memory for tests of files, and what they compute, in plain loops.

import { Linear, Module, Random, type Tensor } from 'lowrank'
import {
  type Directory,
  encodeSafetensors,
  fromNumbers,
  memoryDirectory,
  parseSafetensors,
  type StoredDType,
  toFloat64,
} from 'lowrank/io'
import { attach, type LoraConfig, type LoraModule, loraLayers, saveAdapter } from 'lowrank/lora'

/** Two layers in places that a decoder has them. */
export class Decoder extends Module {
  readonly model: Module
  constructor(q: Linear, down: Linear) {
    super()
    this.model = new Blocks([new Block(q, down)])
  }
  forward(x: Tensor): Tensor {
    return this.model.forward(x)
  }
}

class Blocks extends Module {
  readonly layers: Block[]
  constructor(layers: Block[]) {
    super()
    this.layers = layers
  }
  forward(x: Tensor): Tensor {
    return this.layers.reduce((y, layer) => layer.forward(y), x)
  }
}

class Block extends Module {
  readonly q_proj: Linear
  readonly down_proj: Linear
  constructor(q: Linear, down: Linear) {
    super()
    this.q_proj = q
    this.down_proj = down
  }
  forward(x: Tensor): Tensor {
    return this.down_proj.forward(this.q_proj.forward(x))
  }
}

export interface SavedAdapter {
  readonly model: Decoder
  readonly files: Directory
}

/** An adapter with B ≠ 0 on both layers, saved; `first` is the first element of the first A. */
export async function savedAdapter(
  config: LoraConfig = {},
  saveDtype?: 'float16' | 'bfloat16',
  first?: number,
): Promise<SavedAdapter> {
  const model = new Decoder(new Linear(6, 8), new Linear(8, 6))
  const targetModules = ['q_proj', 'down_proj']
  attach(model, { r: 3, loraAlpha: 5, targetModules, ...config })
  const random = new Random(3)
  for (const { layer } of loraLayers(model)) {
    for (const { A, B } of layer.adapters.values()) {
      for (const factor of [A, B]) {
        factor.replace(Float32Array.from({ length: factor.size }, () => random.normal()))
      }
    }
  }
  if (first !== undefined) {
    const [{ layer }] = loraLayers(model)
    const { A } = layer.states()[0]
    A.replace(A.dataSync().with(0, first))
  }
  const files = memoryDirectory()
  await saveAdapter(model, files, { saveDtype })
  return { model, files }
}

/** The two files of an adapter with tensors of these shapes; their elements are 1, 2, 3, … */
export function adapterOf(
  shapes: Readonly<Record<string, readonly number[]>>,
  config: object = {},
  dtype: StoredDType = 'F32',
): Directory {
  const tensors = Object.entries(shapes).map(([key, shape]) => {
    const count = shape.reduce((n, size) => n * size, 1)
    const values = Float64Array.from({ length: count }, (_, i) => i + 1)
    return [key, { dtype, shape, bytes: fromNumbers(values, dtype) }] as const
  })
  return memoryDirectory({
    'adapter_config.json': JSON.stringify({ peft_type: 'LORA', r: 2, lora_alpha: 4, ...config }),
    'adapter_model.safetensors': encodeSafetensors(new Map(tensors), { format: 'pt' }),
  })
}

/** The shapes of A [2, …] and B [out, 2, …] of layers [out, in]. */
export function factorShapes(
  layers: Readonly<Record<string, readonly [number, number]>>,
): Record<string, readonly number[]> {
  return Object.fromEntries(
    Object.entries(layers).flatMap(([path, [out, width]]) => [
      [`base_model.model.${path}.lora_A.weight`, [2, width]],
      [`base_model.model.${path}.lora_B.weight`, [out, 2]],
    ]),
  )
}

export type Tensors = Map<string, { shape: readonly number[]; data: Float64Array }>

export async function tensorsOf(files: Directory, name: string): Promise<Tensors> {
  const { tensors } = parseSafetensors(await files.read(name))
  return new Map(
    [...tensors].map(([key, { shape, bytes, dtype }]) => [
      key,
      { shape, data: toFloat64(bytes, dtype) },
    ]),
  )
}

/** scale · B · A as rows [out, in], for A [r, in] and B [out, r]. */
export function delta(
  A: ArrayLike<number>,
  B: ArrayLike<number>,
  r: number,
  scale: number,
): number[] {
  const cols = A.length / r
  const rows = B.length / r
  return Array.from({ length: rows * cols }, (_, at) => {
    let sum = 0
    for (let k = 0; k < r; k++) {
      sum += B[Math.floor(at / cols) * r + k] * A[k * cols + (at % cols)]
    }
    return scale * sum
  })
}

/** What the model itself adds to a layer's weight. */
export function deltaOf(layer: LoraModule): number[] {
  const { A, B, r, scaling } = [...layer.adapters.values()][0]
  return delta(A.dataSync(), B.dataSync(), r, scaling)
}

export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return Array.from(a).reduce((most, value, at) => Math.max(most, Math.abs(value - b[at])), 0)
}
