// Runs one golden case of an op: values and gradients within the case's tolerance.

import { expect } from 'vitest'
import { type Backend, withBackend } from '../../src/core/backend.ts'
import { backward, step } from '../../src/core/tape.ts'
import { type Tensor, tensor } from '../../src/core/tensor.ts'
import { type GoldenCase, type GoldenTensor, scaledError } from './fixture.ts'
import type { FixtureOp } from './op_fixtures_transformer.ts'

function golden(example: GoldenCase, name: string): GoldenTensor {
  const found = example.tensors.get(name)
  if (!found) {
    throw new Error(`${example.name}: no tensor ${name}`)
  }
  return found
}

function inputsOf(example: GoldenCase): Record<string, Tensor> {
  const inputs: Record<string, Tensor> = {}
  for (const name of Object.keys(example.json.inputs)) {
    const { data, shape } = golden(example, name)
    inputs[name] = tensor(data, shape, {
      dtype: data instanceof Int32Array ? 'int32' : 'float32',
      requiresGrad: `grad_${name}` in example.json.outputs,
    })
  }
  return inputs
}

function expectClose(
  where: string,
  got: Tensor | undefined,
  want: GoldenTensor,
  limit: number,
): void {
  expect(got?.shape, where).toEqual(want.shape)
  expect(scaledError(got?.dataSync() ?? [], want.data), where).toBeLessThanOrEqual(limit)
}

/** Calls the op of a case on a backend and compares every output and gradient. */
export function runFixture(example: GoldenCase, op: FixtureOp, backend: Backend): void {
  const limit = backend.precision === 64 ? example.json.tolerance.f64 : example.json.tolerance.f32
  withBackend(backend, () => {
    const inputs = inputsOf(example)
    const outputs = step(() => {
      const made = op(example.json.arguments, inputs)
      for (const [name, y] of Object.entries(made)) {
        if (inputs[`d_${name}`]) {
          backward(y, inputs[`d_${name}`])
        }
      }
      return made
    })
    for (const name of Object.keys(example.json.outputs)) {
      const got = name.startsWith('grad_') ? inputs[name.slice(5)].grad : outputs[name]
      expectClose(`${example.name} on ${backend.name}: ${name}`, got, golden(example, name), limit)
    }
  })
}
