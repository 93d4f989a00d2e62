// One step of training: forward, backward, clipping, update. Whether everything was finite is read
// together with the loss, after the update, which by itself does nothing where it was not: so a GPU
// is never waited for in between.

import { LowrankError } from '../core/errors.ts'
import type { Parameter } from '../core/parameter.ts'
import { refusePromise } from '../core/scope.ts'
import { backward, step } from '../core/tape.ts'
import type { Tensor } from '../core/tensor.ts'
import { nameOf, type RateOptions } from '../optim/group.ts'
import { type Optimizer, refuseTraining } from '../optim/optimizer.ts'

export interface TrainStepOptions {
  /** Scales the gradients so that their common L2 norm is at most this; no clipping if absent. */
  readonly maxGradNorm?: number
}

async function nonFiniteGradient(
  all: readonly Parameter[],
  trained: readonly Parameter[],
): Promise<string> {
  const names: string[] = []
  for (const parameter of trained) {
    const data = await parameter.gradient().data()
    if (!data.every(Number.isFinite)) {
      names.push(nameOf(parameter, all.indexOf(parameter)))
    }
  }
  const others = names.length > 1 ? ` and of ${names.length - 1} more` : ''
  return `a finite gradient, got NaN or infinity in that of ${names[0]}${others}`
}

/** What usually makes the numbers of a step overflow. */
function causeOfOverflow<O extends RateOptions>(
  optimizer: Optimizer<O>,
  stepNumber: number,
): string {
  if (stepNumber === 1) {
    return 'it is the first step: look for NaN or infinity in the weights and the data'
  }
  const lr = Math.max(...optimizer.groups.map(group => group.lr))
  return `the likely cause is a learning rate that is too high, now ${lr}: lower it or clip by maxGradNorm`
}

/** A step that changed nothing: how many steps later it is seen, and how many in all changed nothing. */
export interface Refused {
  readonly later: number
  readonly refused: number
}

/** Takes back the count of steps that changed nothing, and throws for the first of them. */
export async function refuse<O extends RateOptions>(
  optimizer: Optimizer<O>,
  trained: readonly Parameter[],
  loss: number,
  { later, refused }: Refused,
): Promise<never> {
  const stepNumber = optimizer.steps - later
  optimizer.steps -= refused
  // The gradients are those of the last step, which can name the parameter if it was that one.
  const gradient = async (): Promise<string> =>
    later > 0
      ? 'finite gradients, got NaN or infinity'
      : nonFiniteGradient(optimizer.parameters, trained)
  const found = Number.isFinite(loss) ? await gradient() : `a finite loss, got ${loss}`
  const seen =
    later > 0 ? `it changed nothing, and was seen ${later} steps later` : 'nothing was changed'
  throw new LowrankError(
    'numeric',
    `trainStep: step ${stepNumber}: expected ${found} (${seen}; ` +
      `${causeOfOverflow(optimizer, stepNumber)})`,
  )
}

function trainedBy<O extends RateOptions>(optimizer: Optimizer<O>): Parameter[] {
  const trained = optimizer.parameters.filter(parameter => parameter.hasGrad)
  if (trained.length === 0) {
    throw new LowrankError(
      'argument',
      `trainStep: none of the ${optimizer.parameters.length} parameters of ${optimizer.name} ` +
        'received a gradient (does the loss come from the model that it trains?)',
    )
  }
  return trained
}

/** A step that was made, before anything of it is read. */
export interface TakenStep {
  /** The loss of each part. */
  readonly losses: readonly Tensor[]
  readonly trained: readonly Parameter[]
}

/** Forward, backward and update. */
export function takeStep<O extends RateOptions>(
  optimizer: Optimizer<O>,
  parts: readonly (() => Tensor)[],
  options: TrainStepOptions,
): TakenStep {
  refuseTraining('trainStep', optimizer.backend)
  try {
    const losses = parts.map(part =>
      step(() => {
        const loss = part()
        refusePromise(loss)
        backward(loss)
        return loss
      }),
    )
    const trained = trainedBy(optimizer)
    optimizer.step({ ...options, losses })
    return { losses, trained }
  } finally {
    optimizer.zeroGrad()
  }
}

/**
 * Runs `fn` and its backward pass, updates the optimizer's parameters, forgets their gradients, and
 * returns the loss. Several functions are parts of one batch: their gradients and losses are summed.
 * A loss or gradient that is not finite throws a `numeric` error and changes nothing. Throws a
 * `backend` error where training is refused, a TypeError if `fn` returns a promise.
 *
 * @example
 * ```ts
 * import { matmul, Parameter, reshape, SGD, tensor, trainStep } from 'lowrank'
 *
 * const w = new Parameter([1, 1], [2, 1])
 * const x = tensor([1, 2], [1, 2])
 * const optimizer = new SGD([w], { lr: 0.25 })
 * const loss = await trainStep(optimizer, () => reshape(matmul(x, w), []))
 * console.log(loss, await w.data()) // 3 Float32Array [0.75, 0.5]
 * ```
 */
export async function trainStep<O extends RateOptions>(
  optimizer: Optimizer<O>,
  fn: (() => Tensor) | readonly (() => Tensor)[],
  options: TrainStepOptions = {},
): Promise<number> {
  const { losses, trained } = takeStep(optimizer, typeof fn === 'function' ? [fn] : fn, options)
  // Both are asked for before anything is awaited: another step may begin meanwhile.
  const reads = Promise.all([optimizer.finite(), ...losses.map(loss => loss.item())])
  const [finite, ...values] = await reads
  const loss = values.reduce((sum, value) => sum + value, 0)
  return finite ? loss : refuse(optimizer, trained, loss, { later: 0, refused: 1 })
}
