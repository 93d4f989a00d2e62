// What all optimizers share: groups, the gradient norm before each step, state that is allocated at
// the first step, and steps that read nothing back. Parameter updates are one kernel call each; the
// clip factor, the non-finite flag and the step counts stay in buffers (control.ts), so that a step
// with a NaN in it changes nothing, the step counts included.

import { type Backend, commonBackend, type Floats } from '../core/backend.ts'
import { LowrankError } from '../core/errors.ts'
import type { Parameter } from '../core/parameter.ts'
import { acquire, scoped } from '../core/scope.ts'
import type { Shape } from '../core/shape.ts'
import { type PersistentTensor, persistentZeros, type Tensor } from '../core/tensor.ts'
import type { sliceOp } from '../ops/slice.ts'
import { CLOCK_SIZE, CONTROL_SIZE, NON_FINITE, NORM } from './control.ts'
import { gradientNorm } from './gradient_norm.ts'
import { type Group, type RateOptions, resolveGroups, type Trainables } from './group.ts'

/** The state tensors of one parameter, by name. */
export type Slots = Record<string, PersistentTensor>

/** What an optimizer keeps from step to step: the clocks of all parameters, the tensors of each. */
export interface Kept {
  readonly clocks: PersistentTensor
  readonly slots: readonly Slots[]
}

/** Buffers of one step. */
export interface StepContext {
  readonly backend: Backend
  readonly clocks: Floats
  readonly control: Floats
}

/** One parameter as an update sees it. */
export interface Target {
  readonly shape: Shape
  readonly size: number
  /** Its place among all parameters: the number of its clock. */
  readonly index: number
  readonly parameter: Floats
  readonly gradient: Floats
  readonly state: Readonly<Record<string, Floats>>
}

/** What makes one optimizer different from another. */
export interface Algorithm<O extends RateOptions> {
  readonly name: string
  readonly defaults: O
  /** What is wrong with the options of a group. */
  problems(options: O): string[]
  /** Shapes of the state of a parameter, by PyTorch's names. */
  state(shape: Shape, options: O): Readonly<Record<string, Shape>>
  /** Counts a step in the clocks first … first + count − 1. */
  advance(context: StepContext, first: number, count: number, options: O): void
  update(context: StepContext, target: Target, options: O): void
}

export interface OptimizerStepOptions {
  /** Scales the gradients so that their common L2 norm is at most this; no clipping if absent. */
  readonly maxGradNorm?: number
  /** If one of them is not finite, the step changes nothing, as for gradients. */
  readonly losses?: readonly Tensor[]
}

/** Throws where a backend stands in for a refused one, and may only infer. */
export function refuseTraining(where: string, backend: Backend): void {
  if (backend.inferenceOnly) {
    throw new LowrankError(
      'backend',
      `${where}: expected a backend that trains, got the ${backend.name} loops in place of a ` +
        `refused one: ${backend.inferenceOnly} (to train with them, slowly, choose them: ` +
        'setBackend(reference()))',
    )
  }
}

/** The base of `SGD`, `Adam`, `AdamW` and the Adafactors. */
export class Optimizer<O extends RateOptions = RateOptions> {
  readonly backend: Backend
  readonly groups: readonly Group<O>[]
  /** Calls of `step` so far. */
  steps = 0
  /** @internal */
  readonly algorithm: Algorithm<O>
  readonly #parameters: readonly Parameter[]
  /** What the last step found: see control.ts. */
  readonly #control: PersistentTensor
  #kept: Kept
  #disposed = false

  constructor(algorithm: Algorithm<O>, trainables: Trainables<O>, options: Partial<O>) {
    const { name, defaults } = algorithm
    this.algorithm = algorithm
    this.groups = resolveGroups(name, trainables, options, defaults, algorithm.problems)
    this.#parameters = this.groups.flatMap(group => group.params)
    this.backend = commonBackend(name, this.#parameters)
    this.#control = persistentZeros(this.backend, [CONTROL_SIZE])
    this.#kept = {
      clocks: persistentZeros(this.backend, [this.#parameters.length * CLOCK_SIZE]),
      slots: this.#parameters.map(() => ({})),
    }
  }

  get name(): string {
    return this.algorithm.name
  }

  /** All parameters, group by group. */
  get parameters(): readonly Parameter[] {
    return this.#parameters
  }

  /**
   * Updates every parameter that has a gradient; parameters without one are skipped, their step
   * counts too. If a gradient (or a loss) is not finite nothing changes, and `finite` says so.
   * Throws an `argument` error for `maxGradNorm`, a `backend` error where training is refused.
   */
  step(options: OptimizerStepOptions = {}): void {
    const { maxGradNorm = Number.POSITIVE_INFINITY, losses = [] } = options
    this.#checkUsable()
    refuseTraining(`${this.name}.step`, this.backend)
    if (!(maxGradNorm > 0)) {
      throw new LowrankError(
        'argument',
        `${this.name}.step: maxGradNorm must be above 0, got ${maxGradNorm}`,
      )
    }
    commonBackend(`${this.name}.step`, [this.#control, ...losses])
    // A scope, because losses may have to be uploaded.
    scoped(() => {
      this.#measure(maxGradNorm, losses)
      this.#update()
    })
    this.steps++
  }

  /** Forgets all gradients. */
  zeroGrad(): void {
    for (const parameter of this.#parameters) {
      parameter.clearGrad()
    }
  }

  /** Sets the rate of every group to `factor` times its initial one; a schedule gives the factor. */
  scaleLearningRate(factor: number): void {
    if (!(factor >= 0 && factor < Number.POSITIVE_INFINITY)) {
      throw new LowrankError(
        'argument',
        `${this.name}.scaleLearningRate: expected a finite factor from 0 up, got ${factor}`,
      )
    }
    for (const group of this.groups) {
      group.lr = group.initialLr * factor
    }
  }

  /** Whether the last step was applied: false if a gradient or the loss was not finite. */
  async finite(): Promise<boolean> {
    this.#checkUsable()
    return (await this.#control.data())[NON_FINITE] === 0
  }

  /** The L2 norm of all gradients at the last step, before clipping. */
  async gradNorm(): Promise<number> {
    this.#checkUsable()
    return (await this.#control.data())[NORM]
  }

  /**
   * A copy of what the last step found, from the norm to the non-finite flag, on the backend. Those that
   * read it later bring the op that copies: programs without them do not hold it.
   * @internal
   */
  copyFound(op: typeof sliceOp): Tensor {
    this.#checkUsable()
    const found = { axis: 0, start: NORM, length: CONTROL_SIZE - NORM }
    return scoped(() => op([this.#control], found))
  }

  /**
   * What is kept, for those that save it (state.ts).
   * @internal
   */
  get kept(): Kept {
    this.#checkUsable()
    return this.#kept
  }

  set kept(kept: Kept) {
    this.#checkUsable()
    this.#releaseState()
    this.#kept = kept
  }

  /** Frees the state. The parameters and their gradients stay. */
  dispose(): void {
    this.#releaseState()
    this.#control.dispose()
    this.#disposed = true
  }

  #checkUsable(): void {
    if (this.#disposed) {
      throw new LowrankError('scope', `${this.name}: used after dispose()`)
    }
  }

  #releaseState(): void {
    this.#kept.clocks.dispose()
    for (const slots of this.#kept.slots) {
      for (const tensor of Object.values(slots)) {
        tensor.dispose()
      }
    }
  }

  #measure(maxGradNorm: number, losses: readonly Tensor[]): void {
    const kernels = this.backend.kernels(gradientNorm)
    const control = this.#control.buffer()
    kernels.gradient_norm_begin(control)
    for (const parameter of this.#parameters) {
      if (parameter.hasGrad) {
        kernels.gradient_norm_add(parameter.gradient().buffer(), parameter.size, control)
      }
    }
    kernels.gradient_norm_end(maxGradNorm, control)
    for (const loss of losses) {
      kernels.flag_non_finite(acquire(loss.storage), loss.size, control)
    }
  }

  #update(): void {
    const context: StepContext = {
      backend: this.backend,
      clocks: this.#kept.clocks.buffer(),
      control: this.#control.buffer(),
    }
    let index = 0
    for (const group of this.groups) {
      this.#updateGroup(context, group, index)
      index += group.params.length
    }
  }

  #updateGroup(context: StepContext, group: Group<O>, start: number): void {
    const options: O = { ...group.options, lr: group.lr }
    const { params } = group
    let first = 0
    while (first < params.length) {
      let last = first
      while (last < params.length && params[last].hasGrad) {
        last++
      }
      if (last > first) {
        this.algorithm.advance(context, start + first, last - first, options)
      }
      for (let i = first; i < last; i++) {
        this.algorithm.update(context, this.#target(params[i], start + i, options), options)
      }
      first = last + 1
    }
  }

  #target(parameter: Parameter, index: number, options: O): Target {
    const { shape, size } = parameter
    const slots = this.#kept.slots[index]
    const state: Record<string, Floats> = {}
    for (const [name, slotShape] of Object.entries(this.algorithm.state(shape, options))) {
      slots[name] ??= persistentZeros(this.backend, slotShape)
      state[name] = slots[name].buffer()
    }
    return {
      shape,
      size,
      index,
      parameter: parameter.buffer(),
      gradient: parameter.gradient().buffer(),
      state,
    }
  }
}
