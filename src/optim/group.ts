// Parameter groups: `[a, b]`, or `[{ params: [a], lr: 1e-4 }, { params: [b] }]` where each group
// overrides options of the optimizer. All problems are collected before one error is thrown.
// Source: torch.optim.Optimizer.param_groups.

import { throwAll } from '../core/errors.ts'
import { Parameter } from '../core/parameter.ts'

/** Options of every optimizer. */
export interface RateOptions {
  /** The learning rate. */
  readonly lr: number
}

/** Parameters with options of their own. */
export type ParameterGroup<O> = Partial<O> & { readonly params: readonly Parameter[] }

/** What an optimizer trains: parameters, or groups of them. */
export type Trainables<O> = readonly Parameter[] | readonly ParameterGroup<O>[]

/** A group as the optimizer keeps it. */
export interface Group<O> {
  readonly params: readonly Parameter[]
  /** The rate of the next step. Assign to it, or scale all groups by a schedule. */
  lr: number
  /** What a schedule multiplies. */
  initialLr: number
  /** All options, defaults filled in. The rate in here is the one the group was made with. */
  options: O
}

/** `number must be …` problems, shared by the optimizers. */
export function outOfRange(
  name: string,
  value: unknown,
  low: number,
  high: number = Number.POSITIVE_INFINITY,
): string[] {
  const fits = typeof value === 'number' && value >= low && value < high
  if (fits) {
    return []
  }
  const range =
    high === Number.POSITIVE_INFINITY ? `finite and ${low} or more` : `in [${low}, ${high})`
  return [`${name} must be ${range}, got ${String(value)}`]
}

function isParameters<O>(trainables: Trainables<O>): trainables is readonly Parameter[] {
  return trainables.length === 0 || trainables[0] instanceof Parameter
}

/** How a parameter is named in messages. */
export function nameOf(parameter: Parameter, index: number): string {
  return parameter.name === '' ? `parameter ${index}` : `parameter ${index} (${parameter.name})`
}

function parameterProblems(params: readonly Parameter[]): string[] {
  const problems: string[] = []
  const seen = new Set<Parameter>()
  params.forEach((parameter, index) => {
    const name = nameOf(parameter, index)
    if (!(parameter instanceof Parameter)) {
      problems.push(`parameter ${index} is not a Parameter`)
      return
    }
    if (seen.has(parameter)) {
      problems.push(`${name} appears twice`)
    }
    seen.add(parameter)
    if (!parameter.requiresGrad) {
      problems.push(`${name} is frozen (pass trainable parameters, or unfreeze it)`)
    } else if (parameter.dtype !== 'float32') {
      problems.push(`${name} is ${parameter.dtype}; trained parameters are float32`)
    }
    if (parameter.storage.owner === 'released') {
      problems.push(`${name} was disposed`)
    }
  })
  return problems
}

function withDefaults<O extends RateOptions>(defaults: O, ...layers: readonly object[]): O {
  const options: Record<string, unknown> = Object.fromEntries(Object.entries(defaults))
  for (const layer of layers) {
    for (const [key, value] of Object.entries(layer)) {
      if (value !== undefined && key !== 'params') {
        options[key] = value
      }
    }
  }
  return options as unknown as O
}

function unknownOptions(options: object, defaults: object): string[] {
  const known = Object.keys(defaults)
  return Object.keys(options)
    .filter(key => !known.includes(key))
    .map(key => `there is no option "${key}" (options: ${known.join(', ')})`)
}

/** Groups with all options filled in. Throws one `argument` error for all that is wrong. */
export function resolveGroups<O extends RateOptions>(
  where: string,
  trainables: Trainables<O>,
  options: Partial<O>,
  defaults: O,
  problemsOf: (options: O) => string[],
): Group<O>[] {
  const given = isParameters(trainables)
    ? [{ params: trainables } as unknown as ParameterGroup<O>]
    : trainables
  const groups = given.map(group => {
    const resolved = withDefaults(defaults, options, group)
    const { lr } = resolved
    return { params: [...group.params], lr, initialLr: lr, options: resolved }
  })
  const all = groups.flatMap(group => group.params)
  const problems = groups.flatMap((group, i) => {
    const found = [...unknownOptions(group.options, defaults), ...problemsOf(group.options)]
    return groups.length > 1 ? found.map(problem => `group ${i}: ${problem}`) : found
  })
  if (all.length === 0) {
    problems.push('expected at least one parameter, got none (is everything frozen?)')
  }
  throwAll('argument', where, [...problems, ...parameterProblems(all)])
  return groups
}
