// The loss curve: every step, a smoothed line eₜ = e₍ₜ₋₁₎ + α·(lₜ − e₍ₜ₋₁₎) without the bias of its
// start, eₜ / (1 − (1 − α)ᵗ), and the held-out losses.

import type { ReportData } from './data.ts'
import { count, counted, logarithmicEnds, significant } from './numbers.ts'

export type Point = readonly [step: number, loss: number]

export interface LossCurve {
  readonly steps: readonly Point[]
  /** Empty for runs too short to smooth. */
  readonly smoothed: readonly Point[]
  readonly held: readonly Point[]
  /** The step whose adapter was kept, if evaluation chose it. */
  readonly best: number | undefined
  /** Of a logarithmic axis, where a linear one would hide the end: over more than two decades. */
  readonly logarithmic: readonly [low: number, high: number] | undefined
  /** The curve in words. */
  readonly text: string
}

/** Runs shorter than this are drawn as they are. */
const SHORT = 20
/** The smoothed line looks back over about this share of the run. */
const SPAN = 1 / 20

/** An exponential moving average that is not drawn towards zero at its start. */
export function smooth(values: readonly number[], span: number): number[] {
  const alpha = 2 / (span + 1)
  let mean = 0
  let weight = 0
  return values.map(value => {
    mean += alpha * (value - mean)
    weight += alpha * (1 - weight)
    return mean / weight
  })
}

function smoothedOf(losses: readonly number[]): number[] {
  return losses.length < SHORT ? [] : smooth(losses, Math.max(2, Math.round(losses.length * SPAN)))
}

/** Where the loss starts and ends, smoothed where the curve is. */
export function lossEnds(losses: readonly number[]): { first?: number; last?: number } {
  const smoothed = smoothedOf(losses)
  const line = smoothed.length > 0 ? smoothed : losses
  return { first: line[0], last: line.at(-1) }
}

function describe({ run }: ReportData, best: number | undefined): string {
  const { first, last } = lossEnds(run.losses)
  if (first === undefined || last === undefined) {
    return 'No step was trained.'
  }
  const training =
    run.losses.length === 1
      ? `Training loss ${significant(first)} in the only step.`
      : `Training loss from ${significant(first)} to ${significant(last)} nats per token ` +
        `over ${counted(run.steps, 'step')}.`
  const lowest = run.evals.find(({ step }) => step === best)
  const held = lowest
    ? ` Lowest held-out loss ${significant(lowest.loss)} at step ${count(lowest.step)}.`
    : ''
  return training + held
}

export function lossCurve(data: ReportData): LossCurve {
  const { losses, evals, bestStep } = data.run
  const points = (values: readonly number[]): Point[] => values.map((loss, i) => [i + 1, loss])
  const smoothed = smoothedOf(losses)
  const best = evals.some(({ step }) => step === bestStep) ? bestStep : undefined
  const all = [...losses, ...evals.map(({ loss }) => loss)]
  const lowest = all.reduce((low, loss) => Math.min(low, loss), Number.POSITIVE_INFINITY)
  const highest = all.reduce((high, loss) => Math.max(high, loss), 0)
  return {
    steps: points(losses),
    smoothed: points(smoothed),
    held: evals.map(({ step, loss }) => [step, loss]),
    best,
    logarithmic:
      lowest > 0 && highest > 100 * lowest ? logarithmicEnds(lowest, highest) : undefined,
    text: describe(data, best),
  }
}
