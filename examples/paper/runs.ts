// Training runs on the bundled model: LoRA on chosen weights of every attention, judged by the held-out
// loss. Runs are remembered, so that two claims about the same run train it once, also across starts of the
// program where a file is named for them.

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { attach, manualSeed, setBackend, type Tensor, tensor } from 'lowrank'
import { type Amplification, amplification } from 'lowrank/analysis'
import { loraLayers } from 'lowrank/lora'
import { loadModel } from 'lowrank/models/auto'
import { directory } from 'lowrank/node'
import { type LoadedTokenizer, loadTokenizer } from 'lowrank/tokenizer'
import { type CompletionExample, evaluateLoss, finetune, tokenizeExamples } from 'lowrank/train'
import { wasm } from 'lowrank/wasm'
import { keepRun, keptRuns } from './kept.ts'

/** How much is trained. */
export interface Size {
  readonly seeds: number
  readonly epochs: number
  readonly examples: number
  readonly heldOut: number
  readonly ranks: readonly number[]
}

/** Which weights are adapted, and how. */
export interface Adapted {
  readonly weights: readonly ('q' | 'k' | 'v' | 'o')[]
  readonly r: number
}

export interface AdaptedLayer {
  readonly path: string
  readonly A: Tensor
  /** ‖ΔW‖ / ‖Uᵀ·W·V‖ and its two parts (the paper's section 7.3). */
  readonly amplification: Amplification
}

export interface Trained {
  readonly loss: number
  readonly trainable: number
  readonly layers: readonly AdaptedLayer[]
}

export const MODEL: string = fileURLToPath(new URL('../house/model/', import.meta.url))
const DATA = fileURLToPath(new URL('../house/data/', import.meta.url))

function lines(name: string, count: number): CompletionExample[] {
  const text = readFileSync(join(DATA, name), 'utf8').trim().split('\n')
  const stride = Math.max(1, Math.floor(text.length / count))
  const chosen = text.filter((_, i) => i % stride === 0).slice(0, count)
  return chosen.map(line => JSON.parse(line))
}

/** The first hexadecimal digits of a hash of the weights. */
const MODEL_HASH = createHash('sha256')
  .update(readFileSync(join(MODEL, 'model.safetensors')))
  .digest('hex')
  .slice(0, 12)

/** The same for every rank, as in the paper (section 4.1): the scale is α / r. */
const ALPHA = 16
const RATE = 1e-2

/** Names all that a run depends on but the library. */
export function keyOf({ weights, r }: Adapted, seed: number, size: Size): string {
  const { epochs, examples, heldOut } = size
  const recipe = `α = ${ALPHA}, rate ${RATE}, ${epochs} × ${examples}, ${heldOut}`
  return `${weights.join('')} ${r} ${seed} (${recipe}, ${MODEL_HASH})`
}

export class Runs {
  readonly size: Size
  readonly tokenizer: LoadedTokenizer
  readonly #done: Map<string, Trained>
  readonly #file: string | undefined

  constructor(size: Size, tokenizer: LoadedTokenizer, file?: string) {
    this.size = size
    this.tokenizer = tokenizer
    this.#file = file
    this.#done = file === undefined ? new Map() : keptRuns(file)
  }

  /** Runs that are kept in `file` are not made again. */
  static async of(size: Size, file?: string): Promise<Runs> {
    return new Runs(size, await loadTokenizer(directory(MODEL)), file)
  }

  get seeds(): number[] {
    return Array.from({ length: this.size.seeds }, (_, i) => i + 1)
  }

  /** The runs of all seeds. */
  async all(adapted: Adapted): Promise<Trained[]> {
    const runs: Trained[] = []
    for (const seed of this.seeds) {
      runs.push(await this.one(adapted, seed))
    }
    return runs
  }

  async one(adapted: Adapted, seed: number): Promise<Trained> {
    const key = keyOf(adapted, seed, this.size)
    const known = this.#done.get(key)
    if (known) {
      return known
    }
    const run = await this.#train(adapted, seed)
    this.#done.set(key, run)
    if (this.#file !== undefined) {
      await keepRun(this.#file, key, run)
    }
    process.stderr.write(`${key}: ${run.loss.toFixed(4)}\n`)
    return run
  }

  async #train({ weights, r }: Adapted, seed: number): Promise<Trained> {
    setBackend(wasm())
    manualSeed(seed)
    const model = await loadModel(directory(MODEL))
    const targetModules = weights.map(weight => `${weight}_proj`)
    attach(model, { r, loraAlpha: ALPHA, targetModules })
    const { examples, epochs, heldOut } = this.size
    await finetune(model, {
      tokenizer: this.tokenizer,
      data: lines('train.jsonl', examples),
      epochs,
      batchSize: 16,
      lr: RATE,
      schedule: 'cosine',
      seed,
    })
    const held = tokenizeExamples(lines('held-out.jsonl', heldOut), this.tokenizer, {
      maxTokens: model.sizes.maxPositionEmbeddings,
    })
    const loss = await evaluateLoss(model, held)
    const layers: AdaptedLayer[] = []
    for (const { path, layer } of loraLayers(model)) {
      const { A } = layer.states()[0]
      const copy = tensor(await A.data(), A.shape)
      layers.push({ path, A: copy, amplification: await amplification(layer) })
    }
    return { loss, trainable: model.trainable().reduce((n, { size }) => n + size, 0), layers }
  }
}
