// Cases of the family ops: y = op(inputs; arguments), and the gradients of Σ y·d_y.

import { backward, step } from '../../core/tape.ts'
import { type Tensor, tensor } from '../../core/tensor.ts'
import type { Case } from '../case.ts'
import { type Answer, allAnswered, type CaseKind, outputsOf, stored } from '../kind.ts'
import type { CallInputs, CallOutputs, OpCall } from './call.ts'
import { castCase } from './cast.ts'
import { elementwiseCalls } from './elementwise.ts'
import { reductionCalls } from './reductions.ts'
import { ropeTables } from './rope_tables.ts'
import { transformerCalls } from './transformer.ts'

/** Every op that a case can name. */
export const OP_CALLS: Readonly<Record<string, OpCall>> = {
  ...elementwiseCalls,
  ...reductionCalls,
  ...transformerCalls,
}

function inputsOf(example: Case): Record<string, Tensor> {
  const outputs = outputsOf(example)
  const inputs: Record<string, Tensor> = {}
  for (const name of Object.keys(example.json.inputs)) {
    const { data, shape } = stored(example, name)
    inputs[name] = tensor(data, shape, {
      dtype: data instanceof Int32Array ? 'int32' : 'float32',
      requiresGrad: outputs.includes(`grad_${name}`),
    })
  }
  return inputs
}

/** The outputs, after a backward pass from each that has an upstream gradient. */
function callAndWalk(call: OpCall, example: Case, inputs: CallInputs): CallOutputs {
  return step(() => {
    const made = call(example.json.arguments, inputs)
    for (const [name, y] of Object.entries(made)) {
      if (inputs[`d_${name}`]) {
        backward(y, inputs[`d_${name}`])
      }
    }
    return made
  })
}

async function runOp(example: Case): Promise<Answer> {
  const call = OP_CALLS[example.json.op]
  if (!call) {
    throw new Error(`unknown op ${JSON.stringify(example.json.op)}`)
  }
  const inputs = inputsOf(example)
  const found: Record<string, Tensor | undefined> = { ...callAndWalk(call, example, inputs) }
  for (const [name, input] of Object.entries(inputs)) {
    found[`grad_${name}`] = input.grad
  }
  return { tensors: await allAnswered(found) }
}

export const opKinds: Readonly<Record<string, CaseKind>> = {
  'ops/op': { run: runOp },
  'ops/cast': castCase,
  'ops/rope_tables': ropeTables,
}
