// Adapters in memory for tests of files, and what they compute, in plain loops.

import { Linear, Module, Random, type Tensor } from 'lowrank'
import { type Directory, memoryDirectory, parseSafetensors, toFloat64 } from 'lowrank/io'
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

/** An adapter with B ≠ 0 on both layers, saved. */
export async function savedAdapter(
  config: LoraConfig = {},
  saveDtype?: 'float16' | 'bfloat16',
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
  const files = memoryDirectory()
  await saveAdapter(model, files, { saveDtype })
  return { model, files }
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
