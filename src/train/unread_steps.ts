// Steps whose losses are read later, several at once: nothing is waited for in between. What each step
// found, its loss, the norm of its gradients and whether it was refused, stays in small tensors where
// the step ran until one read fetches all of them.

import { scoped } from '../core/scope.ts'
import type { Tensor } from '../core/tensor.ts'
import { catOp } from '../ops/cat.ts'
import { reshape } from '../ops/reshape.ts'
import { sliceOp } from '../ops/slice.ts'
import { NON_FINITE, NORM } from '../optim/control.ts'
import type { RateOptions } from '../optim/group.ts'
import type { Optimizer } from '../optim/optimizer.ts'
import { refuse, type TakenStep, type TrainStepOptions, takeStep } from './train_step.ts'

/** What a step came to. */
export interface StepOutcome {
  readonly loss: number
  /** The L2 norm of all gradients before clipping. */
  readonly gradNorm: number
}

interface Unread extends TakenStep {
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
    const found = optimizer.copyFound(sliceOp)
    this.#unread.push({ ...taken, found })
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
    const rows = (): Tensor[] => parts.map(part => reshape(part, [part.size]))
    const all = scoped(() => catOp(rows(), { axis: 0 }))
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
    await refuse(this.#optimizer, steps[first].trained, outcomes[first].loss, {
      later: steps.length - 1 - first,
      refused: outcomes.filter(({ refused }) => refused).length,
    })
  }
}
