// Steps whose losses are read later, several at once: nothing is waited for in between. What each step
// found, its loss, the norm of its gradients and whether it was refused, stays in small tensors where
// the step ran until one read fetches all of them.

import { LowrankError } from '../core/errors.ts'
import { scoped } from '../core/scope.ts'
import type { Tensor } from '../core/tensor.ts'
import { cat } from '../ops/cat.ts'
import { reshape } from '../ops/reshape.ts'
import { slice } from '../ops/slice.ts'
import { NON_FINITE, NORM } from '../optim/control.ts'
import type { RateOptions } from '../optim/group.ts'
import type { Optimizer } from '../optim/optimizer.ts'
import { causeOfOverflow, refuse, type TrainStepOptions, takeStep } from './train_step.ts'

/** What a step came to. */
export interface StepOutcome {
  readonly loss: number
  /** The L2 norm of all gradients before clipping. */
  readonly gradNorm: number
}

interface Unread extends ReturnType<typeof takeStep> {
  /** Its number among the steps of the optimizer. */
  readonly step: number
  /** The control buffer after it, from the norm on. */
  readonly found: Tensor
}

interface Read extends StepOutcome {
  readonly refused: boolean
}

export class UnreadSteps<O extends RateOptions> {
  readonly #optimizer: Optimizer<O>
  #unread: Unread[] = []

  constructor(optimizer: Optimizer<O>) {
    this.#optimizer = optimizer
  }

  /** Makes a step, as `trainStep` does, and reads nothing. */
  take(parts: readonly (() => Tensor)[], options: TrainStepOptions): void {
    const optimizer = this.#optimizer
    const taken = takeStep(optimizer, parts, options)
    const found = optimizer.copyFound(slice)
    this.#unread.push({ ...taken, step: optimizer.steps, found })
  }

  /**
   * What the steps since the last call came to, in their order, by one read. Throws a `numeric` error for
   * the first that was refused: it changed nothing, but those after it may have been made.
   */
  async read(): Promise<StepOutcome[]> {
    const steps = this.#unread
    this.#unread = []
    if (steps.length === 0) {
      return []
    }
    const parts = steps.flatMap(({ losses, found }) => [...losses, found])
    const all = scoped(() => cat(parts.map(part => reshape(part, [part.size]))))
    const values = Float64Array.from(await all.data())
    let at = 0
    const outcomes = steps.map(({ losses, found }) => {
      const own = values.subarray(at, at + losses.length)
      const control = values.subarray(at + losses.length, at + losses.length + found.size)
      at += losses.length + found.size
      const refused = control[NON_FINITE - NORM] !== 0
      return { loss: own.reduce((sum, loss) => sum + loss, 0), gradNorm: control[0], refused }
    })
    await this.#check(steps, outcomes)
    return outcomes
  }

  async #check(steps: readonly Unread[], outcomes: readonly Read[]): Promise<void> {
    const first = outcomes.findIndex(({ refused }) => refused)
    if (first < 0) {
      return
    }
    const { step, trained } = steps[first]
    const { loss } = outcomes[first]
    if (first === steps.length - 1) {
      // Its gradients are still there, so that the error can name the parameter.
      await refuse(this.#optimizer, trained, loss)
    }
    this.#optimizer.steps -= outcomes.filter(({ refused }) => refused).length
    const found = Number.isFinite(loss) ? 'finite gradients, got NaN or infinity' : lossText(loss)
    throw new LowrankError(
      'numeric',
      `trainStep: step ${step}: expected ${found} (it changed nothing, and was seen ` +
        `${steps.length - 1 - first} steps later; ${causeOfOverflow(this.#optimizer, step)})`,
    )
  }
}

function lossText(loss: number): string {
  return `a finite loss, got ${loss}`
}
