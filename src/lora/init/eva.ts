// EVA: A starts as the principal components of what a layer is given, and ranks go where they
// explain most. Batches are taken in until the components settle: each one's cosine similarity with
// itself before the batch is at least τ. Layers compete with round(ρ·r) components each for as many as
// there were ranks, by the share of the variance that a component explains.
// Source: Paischer et al. 2024, "One initialization to rule them all" (arXiv 2410.07170), section 3;
// PEFT 0.21, tuners/lora/eva.py.

import { LowrankError } from '../../core/errors.ts'
import { IncrementalPca } from '../../linalg/incremental_pca.ts'
import type { Extension } from '../extension.ts'
import { asksFor } from './oriented.ts'

/** `initLoraWeights: 'eva'`, which files have; attaching needs data. */
export const evaStart: Extension = {
  name: 'eva',
  initialisations: ['eva'],
  refusal: config =>
    asksFor(config, 'eva') ? 'needs data to start by "eva" (call attachEva)' : undefined,
}

/** Options of EVA: PEFT's `EvaConfig` in camelCase. */
export interface EvaOptions {
  /** A layer gets at most ρ times the rank it was to have; 2 if absent, 1 leaves ranks as they are. */
  readonly rho?: number
  /** The similarity from which a component counts as settled; 0.99 if absent. */
  readonly tau?: number
  /** Divides each component by the root of its singular value. */
  readonly whiten?: boolean
  /** Changes alpha with the rank, so that alpha / r stays; on if absent. */
  readonly adjustScalingFactors?: boolean
}

/** Rows that a layer was given: [rows, cols]. */
export interface LayerInput {
  readonly data: Float64Array
  readonly rows: number
  readonly cols: number
}

/** What a layer starts with: A [r, cols]; r may be 0, which means no adapter. */
export interface EvaStart {
  readonly r: number
  readonly A: Float64Array
  readonly singularValues: Float64Array
}

/** What one batch gives every layer, by path. */
export type LayerInputs = ReadonlyMap<string, LayerInput>

interface Tracked {
  readonly pca: IncrementalPca
  /** Whether each component has settled. */
  settled: boolean[]
  /** Whether further batches are skipped. */
  done: boolean
}

/** Round half to even, as Python does. */
function roundEven(value: number): number {
  const floor = Math.floor(value)
  const tie = value - floor === 0.5
  return tie ? floor + (floor % 2) : Math.round(value)
}

function sameInput(a: LayerInput, b: LayerInput): boolean {
  return (
    a.data === b.data ||
    (a.data.length === b.data.length && a.data.every((v, i) => v === b.data[i]))
  )
}

/** For each layer the first one with the same input, by which it is represented. */
function representatives(inputs: LayerInputs, paths: readonly string[]): Map<string, string> {
  const found = new Map<string, string>()
  for (const path of paths) {
    const own = inputs.get(path) as LayerInput
    const first = [...new Set(found.values())].find(other =>
      sameInput(inputs.get(other) as LayerInput, own),
    )
    found.set(path, first ?? path)
  }
  return found
}

/** The cosine of two components, which have the length 1. */
function cosine(a: Float64Array, b: Float64Array): number {
  return a.reduce((sum, value, i) => sum + value * b[i], 0)
}

function takeIn(tracked: Tracked, { data, rows, cols }: LayerInput, tau: number): void {
  const { pca } = tracked
  if (rows < pca.count) {
    return
  }
  const before = pca.components
  pca.fit(data, rows)
  if (before.length > 0) {
    tracked.settled = Array.from({ length: pca.count }, (_, i) => {
      const part = [i * cols, (i + 1) * cols] as const
      return cosine(pca.components.subarray(...part), before.subarray(...part)) >= tau
    })
  }
}

/** EVA's state between batches. */
export class Eva {
  readonly #ranks: ReadonlyMap<string, number>
  readonly #options: EvaOptions
  #shared: Map<string, string> = new Map()
  #tracked: Map<string, Tracked> = new Map()
  #counts: Map<string, number> = new Map()

  /** `ranks`: what each layer would have without EVA, by path. */
  constructor(ranks: ReadonlyMap<string, number>, options: EvaOptions = {}) {
    this.#ranks = ranks
    this.#options = options
  }

  #start(inputs: LayerInputs): void {
    const { rho = 2 } = this.#options
    this.#shared = representatives(inputs, [...this.#ranks.keys()])
    const most = new Map<string, number>()
    for (const [path, first] of this.#shared) {
      const { cols } = inputs.get(path) as LayerInput
      const wanted = Math.min(cols, roundEven((this.#ranks.get(path) as number) * rho))
      most.set(first, Math.max(wanted, most.get(first) ?? 0))
    }
    for (const [path, first] of this.#shared) {
      const count = most.get(first) as number
      this.#counts.set(path, count)
      if (path === first) {
        const pca = new IncrementalPca(count, (inputs.get(path) as LayerInput).cols)
        this.#tracked.set(path, { pca, settled: [], done: false })
      }
    }
  }

  #distribute(): void {
    const claims = [...this.#shared.keys()].flatMap(path => {
      const { pca } = this.#of(path)
      return Array.from(pca.explained, share => ({ path, share }))
    })
    const budget = [...this.#ranks.values()].reduce((sum, r) => sum + r, 0)
    const counts = new Map([...this.#shared.keys()].map(path => [path, 0]))
    for (const { path } of claims.toSorted((a, b) => b.share - a.share).slice(0, budget)) {
      counts.set(path, (counts.get(path) ?? 0) + 1)
    }
    this.#counts = counts
  }

  #of(path: string): Tracked {
    return this.#tracked.get(this.#shared.get(path) as string) as Tracked
  }

  /** Whether every component that is in use has settled. */
  settled(): boolean {
    for (const [path, tracked] of this.#tracked) {
      const count = this.#counts.get(path) as number
      const used = Array.from({ length: count }, (_, i) => tracked.settled[i] === true)
      tracked.done = used.every(Boolean)
    }
    return this.#tracked.size > 0 && [...this.#tracked.values()].every(({ done }) => done)
  }

  /** Takes in what one batch gave every layer. */
  add(inputs: LayerInputs): void {
    if (this.#tracked.size === 0) {
      this.#start(inputs)
    }
    for (const [path, tracked] of this.#tracked) {
      if (!tracked.done) {
        takeIn(tracked, inputs.get(path) as LayerInput, this.#options.tau ?? 0.99)
      }
    }
    if ([...this.#tracked.values()].every(({ pca }) => pca.components.length > 0)) {
      this.#distribute()
    }
  }

  /** The start of each layer. Throws `data` if no batch had enough rows. */
  result(): Map<string, EvaStart> {
    const starts = new Map<string, EvaStart>()
    for (const path of this.#ranks.keys()) {
      const tracked = this.#of(path)
      if (!tracked || tracked.pca.components.length === 0) {
        throw new LowrankError(
          'data',
          `eva: "${path}" needs a batch of at least ${tracked?.pca.count ?? 1} rows, got none ` +
            '(make batches larger)',
        )
      }
      const { pca } = tracked
      const r = this.#counts.get(path) as number
      const A = pca.components.slice(0, r * pca.cols)
      const singularValues = pca.singularValues.slice(0, r)
      if (this.#options.whiten) {
        A.forEach((value, at) => {
          A[at] = value / Math.sqrt(singularValues[Math.floor(at / pca.cols)])
        })
      }
      starts.set(path, { r, A, singularValues })
    }
    return starts
  }
}
