// Optimizer state as plain records for checkpoints, by PyTorch's names: tensor `3.exp_avg` is the
// first moment of parameter 3, `3.step` how many steps it has had. Loading checks everything before
// it changes anything. Source: torch.optim.Optimizer.state_dict.

import type { Backend } from '../core/backend.ts'
import { throwAll } from '../core/errors.ts'
import { countOf, formatShape, type Shape, sameShape } from '../core/shape.ts'
import { PersistentTensor, storageOf } from '../core/tensor.ts'
import { CLOCK_SIZE } from './control.ts'
import { nameOf, outOfRange, type RateOptions } from './group.ts'
import type { Algorithm, Optimizer, Slots } from './optimizer.ts'

export interface StateTensor {
  readonly shape: Shape
  readonly data: ArrayLike<number>
}

export interface GroupState {
  readonly lr: number
  readonly initialLr: number
  readonly options: object
  /** Numbers of the group's parameters. */
  readonly params: readonly number[]
}

/** What `stateDict` gives: all but `tensors` can be written as JSON. */
export interface OptimizerState {
  readonly optimizer: string
  readonly steps: number
  readonly groups: readonly GroupState[]
  readonly parameters: readonly { readonly name: string; readonly shape: Shape }[]
  readonly tensors: Readonly<Record<string, StateTensor>>
}

function groupStates<O extends RateOptions>(optimizer: Optimizer<O>): GroupState[] {
  let index = 0
  return optimizer.groups.map(({ lr, initialLr, options, params }) => ({
    lr,
    initialLr,
    options: { ...options },
    params: params.map(() => index++),
  }))
}

/**
 * Everything about an optimizer that a checkpoint needs, as it is at the moment of the call: plain numbers and
 * typed arrays. A function, not a method, so that programs without checkpoints do not hold it.
 *
 * @example
 * ```ts
 * import { AdamW, loadStateDict, Parameter, stateDict } from 'lowrank'
 *
 * const weight = new Parameter([1, 2], [2])
 * const state = await stateDict(new AdamW([weight], { lr: 0.5 }))
 * const resumed = new AdamW([weight])
 * loadStateDict(resumed, state)
 * console.log(resumed.groups[0].lr) // 0.5
 * ```
 */
export async function stateDict<O extends RateOptions>(
  optimizer: Optimizer<O>,
): Promise<OptimizerState> {
  const { clocks, slots } = optimizer.kept
  const rest: Omit<OptimizerState, 'tensors'> = {
    optimizer: optimizer.name,
    steps: optimizer.steps,
    groups: groupStates(optimizer),
    parameters: optimizer.parameters.map(({ name, shape }) => ({ name, shape })),
  }
  const names = slots.flatMap((slot, i) => Object.keys(slot).map(name => `${i}.${name}`))
  const kept = slots.flatMap(slot => Object.values(slot))
  const [counts, ...data] = await Promise.all([clocks.data(), ...kept.map(slot => slot.data())])
  const tensors: Record<string, StateTensor> = {}
  slots.forEach((slot, i) => {
    if (Object.keys(slot).length > 0) {
      const start = i * CLOCK_SIZE
      tensors[`${i}.step`] = { shape: [], data: counts.slice(start, start + 1) }
    }
  })
  names.forEach((name, i) => {
    tensors[name] = { shape: kept[i].shape, data: data[i] }
  })
  return { ...rest, tensors }
}

function groupProblems<O extends RateOptions>(
  optimizer: Optimizer<O>,
  states: readonly GroupState[],
): string[] {
  if (states.length !== optimizer.groups.length) {
    return [`expected ${optimizer.groups.length} groups, got ${states.length}`]
  }
  const { algorithm } = optimizer
  const expected = groupStates(optimizer)
  return states.flatMap(({ lr, initialLr, options, params }, i) => {
    const problems = [
      ...outOfRange('lr', lr, 0),
      ...outOfRange('initialLr', initialLr, 0),
      ...algorithm.problems({ ...algorithm.defaults, ...options } as O),
    ]
    if (params.join() !== expected[i].params.join()) {
      problems.push(`expected parameters ${expected[i].params.join()}, got ${params.join()}`)
    }
    return problems.map(problem => `group ${i}: ${problem}`)
  })
}

function parameterProblems<O extends RateOptions>(
  optimizer: Optimizer<O>,
  states: OptimizerState['parameters'],
): string[] {
  const { parameters } = optimizer
  if (states.length !== parameters.length) {
    return [`expected ${parameters.length} parameters, got ${states.length}`]
  }
  return states.flatMap(({ name, shape }, i) => {
    const where = nameOf(parameters[i], i)
    if (name !== parameters[i].name) {
      return [`${where} was "${name}" when the state was saved`]
    }
    if (!sameShape(shape, parameters[i].shape)) {
      return [`${where} is ${formatShape(parameters[i].shape)}, was ${formatShape(shape)}`]
    }
    return []
  })
}

function tensorProblems(name: string, tensor: StateTensor, shape: Shape): string[] {
  const { data } = tensor
  if (!sameShape(tensor.shape, shape) || data.length !== countOf(shape)) {
    const got = `${formatShape(tensor.shape)} with ${data.length} elements`
    return [`tensor "${name}": expected ${formatShape(shape)}, got ${got}`]
  }
  for (let i = 0; i < data.length; i++) {
    if (!Number.isFinite(data[i])) {
      return [`tensor "${name}": element ${i} is ${data[i]}`]
    }
  }
  return []
}

/** Shapes of all tensors of a parameter that has state. */
function shapesOf<O extends RateOptions>(
  algorithm: Algorithm<O>,
  shape: Shape,
  options: O,
): Record<string, Shape> {
  const slots = algorithm.state(shape, options)
  return Object.keys(slots).length > 0 ? { step: [], ...slots } : {}
}

/** Shapes of the tensors that a state may hold, per parameter. */
function expectedShapes<O extends RateOptions>(
  optimizer: Optimizer<O>,
  groups: readonly GroupState[],
): Record<string, Shape>[] {
  const { algorithm } = optimizer
  return optimizer.groups.flatMap(({ params }, i) => {
    const options = { ...algorithm.defaults, ...groups[i].options } as O
    return params.map(parameter => shapesOf(algorithm, parameter.shape, options))
  })
}

function allTensorProblems(
  expected: readonly Record<string, Shape>[],
  tensors: OptimizerState['tensors'],
): string[] {
  const unexpected = new Set(Object.keys(tensors))
  const problems = expected.flatMap((shapes, i) => {
    const names = Object.keys(shapes)
    // A parameter that has not had a step has no state at all.
    const present = names.some(name => `${i}.${name}` in tensors)
    return names.flatMap(name => {
      const key = `${i}.${name}`
      unexpected.delete(key)
      if (!(key in tensors)) {
        return present ? [`tensor "${key}" is missing`] : []
      }
      return tensorProblems(key, tensors[key], shapes[name])
    })
  })
  return [...problems, ...[...unexpected].map(name => `tensor "${name}" is not expected`)]
}

function countProblems(tensors: OptimizerState['tensors']): string[] {
  return Object.entries(tensors)
    .filter(([name, { data }]) => {
      const whole = Number.isInteger(data[0]) && data[0] >= 0
      return name.endsWith('.step') && data.length === 1 && !whole
    })
    .map(([name, { data }]) => `tensor "${name}": expected a whole number, got ${data[0]}`)
}

function problemsOf<O extends RateOptions>(
  optimizer: Optimizer<O>,
  state: OptimizerState,
): string[] {
  if (state.optimizer !== optimizer.name) {
    return [`expected the state of ${optimizer.name}, got that of ${state.optimizer}`]
  }
  const problems = [
    ...groupProblems(optimizer, state.groups),
    ...parameterProblems(optimizer, state.parameters),
  ]
  if (!Number.isInteger(state.steps) || state.steps < 0) {
    problems.push(`steps must be a whole number, got ${state.steps}`)
  }
  if (problems.length > 0) {
    return problems
  }
  const expected = expectedShapes(optimizer, state.groups)
  return [...allTensorProblems(expected, state.tensors), ...countProblems(state.tensors)]
}

function restored(backend: Backend, shape: Shape, data: ArrayLike<number>): PersistentTensor {
  return new PersistentTensor(storageOf(data, 'float32', backend), shape)
}

function slotsOf(backend: Backend, state: OptimizerState, index: number): Slots {
  const prefix = `${index}.`
  const slots: Slots = {}
  for (const [key, { shape, data }] of Object.entries(state.tensors)) {
    if (key.startsWith(prefix) && key !== `${prefix}step`) {
      slots[key.slice(prefix.length)] = restored(backend, shape, data)
    }
  }
  return slots
}

/**
 * Gives an optimizer what `stateDict` read: rates, options, step counts and averages. Throws one
 * `argument` error that lists all that does not fit, before anything is changed.
 */
export function loadStateDict<O extends RateOptions>(
  optimizer: Optimizer<O>,
  state: OptimizerState,
): void {
  throwAll('argument', 'loadStateDict', problemsOf(optimizer, state))
  const { algorithm, backend, parameters } = optimizer
  const counts = new Float64Array(parameters.length * CLOCK_SIZE)
  parameters.forEach((_, i) => {
    counts[i * CLOCK_SIZE] = state.tensors[`${i}.step`]?.data[0] ?? 0
  })
  optimizer.kept = {
    clocks: restored(backend, [counts.length], counts),
    slots: parameters.map((_, i) => slotsOf(backend, state, i)),
  }
  optimizer.steps = state.steps
  optimizer.groups.forEach((group, i) => {
    const { lr, initialLr, options } = state.groups[i]
    Object.assign(group, { lr, initialLr, options: { ...algorithm.defaults, ...options } })
  })
}
