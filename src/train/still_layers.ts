// Whether every adapter moves: after the first steps of a run, the layers whose adapter still has all
// its bits, or whose gradient is exactly zero everywhere. Such a run would end with a loss that looks like any
// other and an adapter that does nothing. The likely reasons (still_reasons.ts) are fetched only then.

import type { Parameter } from '../core/parameter.ts'
import { loraLayers } from '../lora/adapters.ts'
import type { LoraModule } from '../lora/module.ts'
import { type LoraState, trainedParameters } from '../lora/state.ts'
import type { Module } from '../nn/module.ts'

/** A step of training that was made. */
export interface StepDone {
  readonly step: number
  readonly lr: number
  /** Whether it was the last one. */
  readonly last: boolean
  /** Whether the device is waited for after it anyway. */
  readonly reads: boolean
}

/** An adapter as it was when the run began. */
export interface Watched {
  readonly path: string
  readonly layer: LoraModule
  readonly adapter: string
  readonly state: LoraState
  readonly parameters: readonly Parameter[]
  readonly calls: number
  readonly hashes: readonly number[]
}

/** FNV-1a over the elements as 32-bit words. */
async function hashOf(parameter: Parameter): Promise<number> {
  const values = Float32Array.from(await parameter.data())
  let hash = 0x811c9dc5
  for (const word of new Uint32Array(values.buffer)) {
    hash = Math.imul(hash ^ word, 0x01000193)
  }
  return hash
}

async function hasZeroGradient({ grad }: Parameter): Promise<boolean> {
  return grad === undefined || (await grad.data()).every(value => value === 0)
}

async function allOf<T>(list: readonly T[], test: (item: T) => Promise<boolean>): Promise<boolean> {
  for (const item of list) {
    if (!(await test(item))) {
      return false
    }
  }
  return true
}

async function isStill({ parameters, hashes }: Watched): Promise<boolean> {
  const gradients = await allOf(parameters, hasZeroGradient)
  const now = await Promise.all(parameters.map(hashOf))
  return gradients || now.every((hash, i) => hash === hashes[i])
}

/** The trained adapters of a model as they are now. */
async function watchAdapters(model: Module): Promise<readonly Watched[]> {
  const watched: Watched[] = []
  for (const { path, layer } of loraLayers(model)) {
    for (const [adapter, state] of layer.adapters) {
      const parameters = trainedParameters(state).filter(({ requiresGrad }) => requiresGrad)
      if (parameters.length > 0) {
        const hashes = await Promise.all(parameters.map(hashOf))
        watched.push({ path, layer, adapter, state, parameters, calls: layer.calls, hashes })
      }
    }
  }
  return watched
}

/** Those that have not moved since, or that the last step left without a gradient. */
async function stillLayers(watched: readonly Watched[]): Promise<Watched[]> {
  const found: Watched[] = []
  for (const one of watched) {
    if (await isStill(one)) {
      found.push(one)
    }
  }
  return found
}

/** Steps with a learning rate above zero after which every adapter must have moved. */
const STEPS_TO_MOVE = 3

/** Watches the trained adapters of a model over the first steps of a run. */
export class MovementCheck {
  readonly #watched: readonly Watched[]
  #moving = 0
  #done = false

  private constructor(watched: readonly Watched[]) {
    this.#watched = watched
  }

  static async start(model: Module): Promise<MovementCheck> {
    return new MovementCheck(await watchAdapters(model))
  }

  /**
   * To be called after every step, with its learning rate. Once, at the first reading from the third step
   * on that can change anything, or after the last, it returns what is wrong as sentences.
   */
  async afterStep({ step, lr, last, reads }: StepDone): Promise<string[]> {
    this.#moving += lr > 0 ? 1 : 0
    const due = (reads && this.#moving >= STEPS_TO_MOVE) || (last && this.#moving > 0)
    if (this.#done || !due) {
      return []
    }
    this.#done = true
    const still = await stillLayers(this.#watched)
    return still.length > 0 ? (await import('./still_reasons.ts')).explained(still, step) : []
  }
}
