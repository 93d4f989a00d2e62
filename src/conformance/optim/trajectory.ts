// Trajectories of the family optim: parameters p{i} after each of n steps [n + 1, shape] with the
// stored gradients [n, shape], the optimizer's state at the end, and the rates of its schedule.

import { Parameter } from '../../core/parameter.ts'
import { countOf } from '../../core/shape.ts'
import {
  Adafactor,
  Adam,
  AdamW,
  type Optimizer,
  SGD,
  stateDict,
  TransformersAdafactor,
} from '../../optim/index.ts'
import type { Case, CaseTensor } from '../case.ts'
import { type Answered, type Check, checkThat } from '../compare.ts'
import { type Answer, type CaseKind, compareOutputs, outputsOf, stored } from '../kind.ts'
import { compareNumbers } from '../numbers.ts'
import { setGradient } from './gradient.ts'
import { scheduleOf } from './schedules.ts'

// biome-ignore lint/suspicious/noExplicitAny: constructors with options of their own
type Constructor = new (groups: any, options: any) => Optimizer<any>

/** Every optimizer that a case can name. */
export const OPTIMIZERS: Readonly<Record<string, Constructor>> = {
  SGD,
  Adam,
  AdamW,
  Adafactor,
  'transformers.Adafactor': TransformersAdafactor,
}

/** A schedule computes rates in float64 on every backend. */
const RATE_TOLERANCE = 1e-12

/** How PyTorch computes, not what. */
const IMPLEMENTATION: readonly string[] = ['foreach', 'fused', 'capturable', 'differentiable']

/** PyTorch's argument names in camelCase; what is null there is absent here. */
function optionsOf(values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const entries = Object.entries(values)
    .filter(([key, value]) => key !== 'params' && value !== null && !IMPLEMENTATION.includes(key))
    .map(([key, value]) => [key.replace(/_(\w)/g, (_, c) => c.toUpperCase()), value])
  return Object.fromEntries(entries)
}

/** Entry i of a tensor along its first axis. */
function entry({ data, shape }: CaseTensor, i: number): ArrayLike<number> {
  const size = data.length / shape[0]
  return data.subarray(i * size, (i + 1) * size)
}

function optimizerOf({ json }: Case, parameters: readonly Parameter[]): Optimizer {
  const { decoupled_weight_decay: decoupled, ...options } = json.arguments
  const make = OPTIMIZERS[decoupled ? 'AdamW' : json.optimizer]
  if (!make) {
    throw new Error(`unknown optimizer ${JSON.stringify(json.optimizer)}`)
  }
  const groups = json.groups.map((group: { params: number[] }) => ({
    ...optionsOf(group),
    params: group.params.map(i => parameters[i]),
  }))
  return new make(groups, optionsOf(options))
}

function giveGradients(example: Case, parameters: readonly Parameter[], n: number): void {
  parameters.forEach((parameter, i) => {
    if (!example.json.missing_grads?.[`p${i}`]?.includes(n)) {
      setGradient(parameter, entry(stored(example, `p${i}.grad`), n))
    }
  })
}

/** Parameters after every step, the start included, and the rates the steps were made with. */
async function takeSteps(
  example: Case,
  optimizer: Optimizer,
  parameters: readonly Parameter[],
): Promise<{ trajectories: ArrayLike<number>[][]; lrs: number[] }> {
  const { schedule: call } = example.json
  const schedule = call && scheduleOf(call, optimizer.groups[0].lr)
  const trajectories: ArrayLike<number>[][] = []
  for (const parameter of parameters) {
    trajectories.push([await parameter.data()])
  }
  const lrs: number[] = []
  for (let n = 0; n < example.json.steps; n++) {
    optimizer.zeroGrad()
    giveGradients(example, parameters, n)
    if (schedule) {
      optimizer.scaleLearningRate(schedule(n))
      lrs.push(optimizer.groups[0].lr)
    }
    optimizer.step({ maxGradNorm: example.json.max_grad_norm })
    for (const [i, parameter] of parameters.entries()) {
      trajectories[i].push(await parameter.data())
    }
  }
  return { trajectories, lrs }
}

/** The state by the case's numbers of parameters; the optimizer's go by its groups. */
async function stateOf({ json }: Case, optimizer: Optimizer): Promise<Record<string, Answered>> {
  const numbers = json.groups.flatMap((group: { params: number[] }) => group.params)
  const { tensors } = await stateDict(optimizer)
  const names = Object.keys(tensors).filter(name => !name.endsWith('.step'))
  const entries = names.map(name => {
    const number = numbers[Number.parseInt(name, 10)]
    return [`p${number}.state${name.slice(name.indexOf('.'))}`, tensors[name]] as const
  })
  return Object.fromEntries(entries)
}

async function run(example: Case): Promise<Answer> {
  const shapes = example.json.shapes as number[][]
  const parameters = shapes.map(
    (shape, i) => new Parameter(stored(example, `p${i}.start`).data, shape),
  )
  const optimizer = optimizerOf(example, parameters)
  const { trajectories, lrs } = await takeSteps(example, optimizer, parameters)
  const tensors: Record<string, Answered> = await stateOf(example, optimizer)
  trajectories.forEach((points, i) => {
    const data = new Float64Array(points.length * countOf(shapes[i]))
    points.forEach((point, n) => {
      data.set(point, n * point.length)
    })
    tensors[`p${i}.trajectory`] = { shape: [points.length, ...shapes[i]], data }
  })
  return { tensors, json: { lrs } }
}

function compare(example: Case, answer: Answer, precision: 32 | 64): Check[] {
  const checks = compareOutputs(example, answer, precision)
  const known = outputsOf(example)
  const extra = Object.keys(answer.tensors).filter(name => !known.includes(name))
  checks.push(checkThat('state', extra.length === 0, `unexpected state: ${extra.join(', ')}`))
  const { lrs } = example.json
  if (lrs) {
    checks.push(compareNumbers('lrs', answer.json?.lrs, lrs, RATE_TOLERANCE))
  }
  return checks
}

export const trajectory: CaseKind = { run, compare, question: ({ lrs: _, ...json }) => json }
