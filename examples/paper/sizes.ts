// The formula of parameters, |Θ| = 2·L·d·r for each adapted d × d weight, bytes of a checkpoint, and
// latency (section 4.2, Tables 1 and 4).

import { attach, manualSeed, noGrad, setBackend, tensor } from 'lowrank'
import { memoryDirectory } from 'lowrank/io'
import { loraLayers, mergeAndUnload, saveAdapter } from 'lowrank/lora'
import type { CausalLM } from 'lowrank/models'
import { loadModel } from 'lowrank/models/auto'
import { directory } from 'lowrank/node'
import { wasm } from 'lowrank/wasm'
import { type Claim, verdictOf } from './claim.ts'
import { MODEL } from './runs.ts'

const GPT3 = { layers: 96, width: 12288 }

/** Parameters of LoRA on `count` square weights of every layer of GPT-3. */
const gpt3 = (count: number, r: number): number => 2 * GPT3.layers * count * GPT3.width * r

const million = (n: number): string => `${(n / 1e6).toFixed(2)} M`

async function adapted(r: number): Promise<CausalLM> {
  setBackend(wasm())
  manualSeed(1)
  const model = await loadModel(directory(MODEL))
  const targetModules = ['q_proj', 'v_proj']
  return attach(model, { r, loraAlpha: 2 * r, targetModules, initLoraWeights: false })
}

export async function parameterFormula(): Promise<Claim> {
  const rows: (string | number)[][] = []
  let right = true
  for (const r of [4, 8]) {
    const model = await adapted(r)
    const formula = loraLayers(model).reduce(
      (sum, { layer }) => sum + r * (layer.inFeatures + layer.outFeatures),
      0,
    )
    const trained = model.trainable().reduce((sum, { size }) => sum + size, 0)
    const files = memoryDirectory()
    await saveAdapter(model, files, { saveDtype: 'float16' })
    const bytes = await files.size('adapter_model.safetensors')
    rows.push([`the bundled model, r = ${r}`, formula, trained, 2 * formula, bytes])
    right &&= formula === trained && bytes > 2 * formula && bytes < 2 * formula + 8192
  }
  for (const r of [4, 8]) {
    const formula = gpt3(2, r)
    rows.push([
      `GPT-3 175B, r_q = r_v = ${r}`,
      million(formula),
      '–',
      `${million(2 * formula)}B`,
      '–',
    ])
  }
  right &&= million(gpt3(2, 4)) === '18.87 M' && million(gpt3(2, 8)) === '37.75 M'
  return {
    title: 'The parameter formula and the size of a checkpoint (section 4.2, Table 4)',
    says: 'r_q = r_v = 4 on GPT-3 trains 18.87 M parameters, 37.7 MB in half precision; r = 8 trains 37.7 M.',
    verdict: verdictOf(right),
    because:
      'Holds if the formula gives the figures of the paper, the adapter of the bundled model has as many parameters as ' +
      'the formula says, and its file in float16 is two bytes each and a header.',
    table: [['', 'by the formula', 'trained here', 'float16 bytes', 'the file'], ...rows],
  }
}

const ROUNDS = 400
/** Rounds before those that count. */
const WARM_UP = 20

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]

/** Milliseconds of a forward pass of each model, round by round; a round starts with another one each time. */
function passTimes(models: readonly CausalLM[]): number[][] {
  const ids = tensor(
    Int32Array.from({ length: 64 }, (_, i) => 5 + i),
    [1, 64],
    { dtype: 'int32' },
  )
  const rounds = Array.from({ length: WARM_UP + ROUNDS }, (_, round) => {
    const times: number[] = []
    for (let turn = 0; turn < models.length; turn++) {
      const i = (round + turn) % models.length
      const start = performance.now()
      noGrad(() => models[i].forward(ids)).dataSync()
      times[i] = performance.now() - start
    }
    return times
  })
  return rounds.slice(WARM_UP)
}

export async function latency(): Promise<Claim> {
  const unmerged = await adapted(8)
  const { backend } = unmerged.parameters()[0]
  setBackend(backend)
  const base = await loadModel(directory(MODEL))
  const merged = attach(await loadModel(directory(MODEL)), {
    r: 8,
    targetModules: ['q_proj', 'v_proj'],
    initLoraWeights: false,
  })
  mergeAndUnload(merged)
  const rounds = passTimes([base, merged, unmerged])
  // Within a round, so that what else the machine does acts on both.
  const ratios = [0, 1, 2].map(i => median(rounds.map(times => times[i] / times[0])))
  const row = (name: string, i: number) => [
    name,
    Math.min(...rounds.map(times => times[i])).toFixed(2),
    `${((ratios[i] - 1) * 100).toFixed(1)} %`,
  ]
  return {
    title: 'Latency of a merged adapter (Table 1)',
    says: 'A merged adapter adds no latency.',
    verdict: verdictOf(Math.abs(ratios[1] - 1) < 0.05),
    because:
      `Holds if a forward pass of 64 tokens takes within 5 % of the base's time: the median of ${ROUNDS} ratios, each of ` +
      'two passes of one round.',
    table: [
      ['', 'ms, the least', 'against the base'],
      row('base', 0),
      row('merged', 1),
      row('not merged', 2),
    ],
  }
}

/** What needs GPT-3 and its GPUs. */
export const uncheckable: readonly Claim[] = [
  {
    title: 'Throughput of training (section 4.2)',
    says: 'On GPT-3 175B, LoRA trains at 43.1 tokens per second and V100, full fine-tuning at 32.5: 25 % more, the paper says.',
    verdict: 'cannot be checked on a CPU',
    because: `43.1 / 32.5 is ${((43.1 / 32.5 - 1) * 100).toFixed(1)} % more. \`npm run compare\` measures the same ratio on the bundled model.`,
    table: [],
  },
  {
    title: 'Accuracy on GLUE, WikiSQL, MNLI and SAMSum (Tables 2 to 4)',
    says: 'LoRA equals or exceeds full fine-tuning of RoBERTa, DeBERTa, GPT-2 and GPT-3.',
    verdict: 'cannot be checked on a CPU',
    because:
      'Neither the models nor the hours are here. `npm run compare` compares the two on the household task.',
    table: [],
  },
]
