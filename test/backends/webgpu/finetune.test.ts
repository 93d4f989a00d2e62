// `finetune` on the real backend: between the steps whose losses are read nothing waits for the device, and a
// small share of the household comes out as on wasm.

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import { wasm } from '../../../src/backends/wasm/index.ts'
import { webgpu } from '../../../src/backends/webgpu/index.ts'
import { type Backend, setBackend } from '../../../src/core/backend.ts'
import { manualSeed } from '../../../src/core/random_state.ts'
import { attach } from '../../../src/lora/index.ts'
import { loadModel } from '../../../src/models/auto.ts'
import { directory } from '../../../src/node/index.ts'
import { loadTokenizer } from '../../../src/tokenizer/index.ts'
import { type CompletionExample, exactMatch, finetune, predict } from '../../../src/train/index.ts'
import { tinyLlama } from '../../support/models.ts'
import { type Counts, countedGpu, hasDawn } from '../../support/webgpu/local.ts'
import { WordTokenizer } from '../../support/words.ts'

const tokenizer = new WordTokenizer('red green blue cat dog bird')
const data = Array.from({ length: 12 }, (_, i) => ({
  prompt: ['red', 'green', 'blue'][i % 3],
  completion: ['cat', 'dog', 'bird'][i % 3],
}))
const LOGGING_STEPS = 5
const STEPS = 24
/** Steps of the household: a device in software takes seconds for each. */
const SHARE_STEPS = 6

const house = fileURLToPath(new URL('../../../examples/house/', import.meta.url))

function householdLines(name: string, count: number): CompletionExample[] {
  const lines = readFileSync(`${house}data/${name}`, 'utf8').trim().split('\n')
  const stride = Math.floor(lines.length / count)
  return lines
    .filter((_, i) => i % stride === 0 && i < stride * count)
    .map(line => JSON.parse(line))
}

/** Losses, and answers to held-out commands, of a run that is far too short. */
async function household(backend: Backend): Promise<{ losses: readonly number[]; exact: number }> {
  setBackend(backend)
  manualSeed(1)
  const files = directory(`${house}model`)
  const [model, words] = [await loadModel(files), await loadTokenizer(files)]
  attach(model, { r: 4, loraAlpha: 16, targetModules: 'all-linear' })
  const { losses } = await finetune(model, {
    tokenizer: words,
    data: householdLines('train.jsonl', 6),
    lr: 1e-2,
    epochs: 2,
    batchSize: 2,
    seed: 1,
    loggingSteps: SHARE_STEPS / 2,
  })
  const held = householdLines('held-out.jsonl', 6)
  return { losses, exact: exactMatch(await predict(model, words, held)) * held.length }
}

afterEach(() => setBackend(undefined))

describe.runIf(hasDawn())('finetune on webgpu', () => {
  it('maps nothing between losses, and submits twice a step at most', async () => {
    const { gpu, counts } = await countedGpu()
    setBackend(await webgpu({ gpu }))
    manualSeed(3)
    const model = attach(tinyLlama(), { r: 2, targetModules: ['q_proj', 'v_proj'] })
    const before: Counts[] = []
    const loss = model.loss.bind(model)
    model.loss = (...call) => {
      before.push({ ...counts })
      return loss(...call)
    }
    const run = await finetune(model, {
      tokenizer,
      data,
      epochs: 8,
      batchSize: 4,
      lr: 1e-2,
      loggingSteps: LOGGING_STEPS,
    })
    expect(run.losses.length).toBe(STEPS)
    expect(before.length).toBe(STEPS)
    for (let step = 1; step < STEPS; step++) {
      const [from, to] = [before[step - 1], before[step]]
      const reads = step % LOGGING_STEPS === 0
      // The third reading of all looks at adapters that might not move, too; a later one is one read.
      const most = !reads ? 0 : step === LOGGING_STEPS ? Number.POSITIVE_INFINITY : 1
      expect(to.maps - from.maps, `maps of step ${step}`).toBeLessThanOrEqual(most)
      if (step !== LOGGING_STEPS) {
        expect(to.submits - from.submits, `submits of step ${step}`).toBeLessThanOrEqual(2)
      }
      if (step > LOGGING_STEPS + 1 && !reads) {
        expect(to.buffers - from.buffers, `buffers of step ${step}`).toBe(0)
      }
    }
  })

  it('learns a share of the household as wasm does', async () => {
    const { gpu } = await countedGpu()
    const cpu = await household(wasm())
    const device = await household(await webgpu({ gpu }))
    expect(device.losses.length).toBe(SHARE_STEPS)
    // The same examples in both epochs.
    const [first, second] = [device.losses.slice(0, 3), device.losses.slice(3)]
    expect(Math.max(...second)).toBeLessThan(Math.max(...first))
    // Adam turns the sign of a gradient near 0 into a whole step: curves part by about lr² a step.
    device.losses.forEach((value, i) => {
      expect(Math.abs(value - cpu.losses[i])).toBeLessThanOrEqual(SHARE_STEPS * 1e-4)
    })
    // One command more or less: these few can tell no finer.
    expect(Math.abs(device.exact - cpu.exact)).toBeLessThanOrEqual(1)
  }, 300_000)
})
