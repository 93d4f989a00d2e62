// Every optimizer against 30 steps of PyTorch's (and transformers') in float64: all parameters after
// every step, and the state at the end.

import { describe, expect, test } from 'vitest'
import { type Backend, withBackend } from '../../src/core/backend.ts'
import { Parameter } from '../../src/core/parameter.ts'
import { Adafactor } from '../../src/optim/adafactor.ts'
import { Adam } from '../../src/optim/adam.ts'
import { AdamW } from '../../src/optim/adamw.ts'
import type { Optimizer } from '../../src/optim/optimizer.ts'
import { getSchedule } from '../../src/optim/schedule.ts'
import { SGD } from '../../src/optim/sgd.ts'
import { TransformersAdafactor } from '../../src/optim/transformers_adafactor.ts'
import { backends } from '../support/backends.ts'
import { type GoldenCase, type GoldenTensor, goldenCases, scaledError } from '../support/fixture.ts'
import { setGradient } from '../support/gradients.ts'

const cases = goldenCases('optim').filter(({ json }) => json.kind === 'trajectory')

// biome-ignore lint/suspicious/noExplicitAny: constructors with options of their own
type Constructor = new (groups: any, options: any) => Optimizer<any>

const constructors: Record<string, Constructor> = {
  SGD,
  Adam,
  AdamW,
  Adafactor,
  'transformers.Adafactor': TransformersAdafactor,
}

/** PyTorch's argument names in camelCase; what is null there is absent here. */
function optionsOf(values: Record<string, unknown>): Record<string, unknown> {
  const entries = Object.entries(values)
    .filter(([key, value]) => key !== 'params' && value !== null)
    .map(([key, value]) => [key.replace(/_(\w)/g, (_, c) => c.toUpperCase()), value])
  return Object.fromEntries(entries)
}

function golden(example: GoldenCase, name: string): GoldenTensor {
  const found = example.tensors.get(name)
  if (!found) {
    throw new Error(`${example.name}: no tensor ${name}`)
  }
  return found
}

function entry(tensor: GoldenTensor, i: number): ArrayLike<number> {
  const size = tensor.data.length / tensor.shape[0]
  return tensor.data.slice(i * size, (i + 1) * size)
}

function optimizerOf({ json }: GoldenCase, parameters: Parameter[]): Optimizer {
  const groups = json.groups.map((group: { params: number[] }) => ({
    ...optionsOf(group),
    params: group.params.map(i => parameters[i]),
  }))
  return new constructors[json.optimizer](groups, optionsOf(json.arguments))
}

function takeSteps(example: GoldenCase, backend: Backend, limit: number): Promise<void> {
  const { json } = example
  const parameters = json.shapes.map(
    (shape: number[], i: number) => new Parameter(golden(example, `p${i}.start`).data, shape),
  ) as Parameter[]
  const optimizer = optimizerOf(example, parameters)
  const schedule = json.schedule
    ? getSchedule(json.schedule.name, {
        numWarmupSteps: json.schedule.num_warmup_steps,
        numTrainingSteps: json.schedule.num_training_steps,
      })
    : undefined
  for (let n = 0; n < json.steps; n++) {
    optimizer.zeroGrad()
    parameters.forEach((parameter, i) => {
      if (!json.missing_grads?.[`p${i}`]?.includes(n)) {
        setGradient(parameter, entry(golden(example, `p${i}.grad`), n))
      }
    })
    if (schedule) {
      optimizer.scaleLearningRate(schedule(n))
      expect(Math.abs(optimizer.groups[0].lr - json.lrs[n])).toBeLessThanOrEqual(1e-12)
    }
    optimizer.step()
    parameters.forEach((parameter, i) => {
      const want = entry(golden(example, `p${i}.trajectory`), n + 1)
      const where = `${example.name} on ${backend.name}: p${i} after step ${n + 1}`
      expect(scaledError(parameter.dataSync(), want), where).toBeLessThanOrEqual(limit)
    })
  }
  return checkState(example, optimizer, limit)
}

async function checkState(example: GoldenCase, optimizer: Optimizer, limit: number): Promise<void> {
  const { tensors } = await optimizer.stateDict()
  // The state is by the optimizer's order of parameters, the case by their numbers.
  const numbers = example.json.groups.flatMap((group: { params: number[] }) => group.params)
  const stored = example.json.outputs.filter((name: string) => name.includes('.state.'))
  const names = stored.map((name: string) => name.replace('.state', '').slice(1))
  const got = Object.keys(tensors).filter(name => !name.endsWith('.step'))
  const renamed = got.map(name => name.replace(/^\d+/, i => numbers[i]))
  expect(renamed.sort()).toEqual(names.sort())
  for (const name of got) {
    const number = numbers[Number.parseInt(name, 10)]
    const want = golden(example, `p${number}.state${name.slice(name.indexOf('.'))}`)
    expect(tensors[name].shape, name).toEqual(want.shape)
    const error = scaledError(tensors[name].data, want.data)
    expect(error, `${example.name}: ${name}`).toBeLessThanOrEqual(limit)
  }
}

describe.each(backends)('optimizers on $name', ({ make }) => {
  test.each(cases.map(example => [example.name, example] as const))('%s', async (_, example) => {
    const backend = make()
    const { f64, f32 } = example.json.tolerance
    const limit = backend.precision === 64 ? f64 : f32
    await withBackend(backend, () => takeSteps(example, backend, limit))
  })
})
