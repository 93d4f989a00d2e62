// What a fine-tuning run has come to so far, and what it says at its end.

import type { Parameter } from '../core/parameter.ts'
import type { TensorData } from '../core/tensor.ts'
import type { Directory, WriteOptions } from '../io/source.ts'
import type { EvalReport } from './options.ts'

export interface FinetuneRun {
  /** Optimizer steps done. */
  readonly steps: number
  readonly totalSteps: number
  /** The loss of every step, in nats. */
  readonly losses: readonly number[]
  readonly evals: readonly EvalReport[]
  /** The step whose parameters the model has now. */
  readonly bestStep: number
  /** Whether the signal stopped the run before its end. */
  readonly interrupted: boolean
  /** What the run was not silent about: adapters that do not move, and why. */
  readonly warnings: readonly string[]
  readonly tokens: number
  readonly seconds: number
  /** Writes what is needed to go on with `resume`; all of it or nothing. */
  saveCheckpoint(directory: Directory, options?: WriteOptions): Promise<void>
}

/** A step that was made, of which the loss is not known yet. */
export interface MadeStep {
  readonly step: number
  readonly lr: number
  readonly tokens: number
}

/** A snapshot of everything that is trained, by parameter. */
export type Snapshot = readonly TensorData[]

export interface Progress {
  step: number
  losses: number[]
  evals: EvalReport[]
  best: { step: number; loss: number; snapshot: Snapshot } | undefined
  tokens: number
  seconds: number
}

export async function snapshotOf(parameters: readonly Parameter[]): Promise<Snapshot> {
  return Promise.all(parameters.map(parameter => parameter.data()))
}

/** Writes a snapshot back; gradient buffers and names stay. */
export function restore(parameters: readonly Parameter[], snapshot: Snapshot): void {
  parameters.forEach((parameter, i) => {
    parameter.replace(snapshot[i])
  })
}
