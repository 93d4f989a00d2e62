// A Llama under an adapter on the real backend, which is never read at once: training with dropout and
// clipping follows the curve of wasm, the model generates, the adapter is saved.

import { describe, expect, it } from 'vitest'
import { wasm } from '../../../src/backends/wasm/index.ts'
import { webgpu } from '../../../src/backends/webgpu/index.ts'
import { type Backend, setBackend } from '../../../src/core/backend.ts'
import { manualSeed } from '../../../src/core/random_state.ts'
import { tensor } from '../../../src/core/tensor.ts'
import { memoryDirectory } from '../../../src/io/index.ts'
import { attach, saveAdapter } from '../../../src/lora/index.ts'
import { LlamaForCausalLM, readLlamaConfig } from '../../../src/models/index.ts'
import { AdamW } from '../../../src/optim/index.ts'
import { generateTokens } from '../../../src/train/generate.ts'
import { trainStep } from '../../../src/train/index.ts'
import { countedGpu, hasDawn } from '../../support/webgpu/local.ts'

const CONFIG = {
  vocab_size: 64,
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 64,
}
const STEPS = 10

interface Outcome {
  readonly losses: readonly number[]
  readonly answers: readonly (readonly number[])[]
  readonly files: readonly string[]
}

async function outcomeOn(backend: Backend): Promise<Outcome> {
  setBackend(backend)
  manualSeed(1)
  const base = new LlamaForCausalLM(readLlamaConfig('test', CONFIG))
  const model = attach(base, { r: 4, loraDropout: 0.1 })
  const optimizer = new AdamW(model.trainable(), { lr: 1e-2 })
  const numbers = Int32Array.from({ length: 24 }, (_, i) => (i * 7) % 64)
  const ids = tensor(numbers, [2, 12], { dtype: 'int32' })
  const losses: number[] = []
  for (let i = 0; i < STEPS; i++) {
    losses.push(await trainStep(optimizer, () => model.loss(ids, ids), { maxGradNorm: 1 }))
  }
  const answers = await generateTokens(
    model,
    [
      [1, 2, 3],
      [4, 5],
    ],
    { maxNewTokens: 4 },
  )
  const directory = memoryDirectory()
  await saveAdapter(model, directory)
  return { losses, answers, files: [...(await directory.list())].sort() }
}

describe.runIf(hasDawn())('a Llama on webgpu', () => {
  it('trains, generates and is saved as on wasm', async () => {
    const { gpu } = await countedGpu()
    try {
      const device = await outcomeOn(await webgpu({ gpu }))
      const cpu = await outcomeOn(wasm())
      expect(device.losses[STEPS - 1]).toBeLessThan(device.losses[0])
      // Adam divides gradients by their own size: where one is near 0 its rounding may turn a step of
      // lr, so that curves part by about lr² a step; 1e-3 is that bound over the ten steps.
      device.losses.forEach((loss, i) => {
        expect(Math.abs(loss - cpu.losses[i])).toBeLessThanOrEqual(1e-3)
      })
      expect(device.answers).toEqual(cpu.answers)
      expect(device.files).toEqual(cpu.files)
    } finally {
      setBackend(undefined)
    }
  })
})
