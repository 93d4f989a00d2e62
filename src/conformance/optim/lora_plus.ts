// LoRA+ of the family optim: which parameters go into which group, with which rate and decay.

import { Parameter } from '../../core/parameter.ts'
import { countOf } from '../../core/shape.ts'
import { loraPlusGroups } from '../../optim/index.ts'
import type { Case } from '../case.ts'
import { type Check, checkEqual } from '../compare.ts'
import type { Answer, CaseKind } from '../kind.ts'

function named(name: string, shape: readonly number[]): Parameter {
  const parameter = new Parameter(new Float32Array(countOf(shape)), shape)
  parameter.name = name
  return parameter
}

function run({ json }: Case): Answer {
  const shapes = Object.entries(json.parameters) as [string, number[]][]
  const groups = loraPlusGroups(
    shapes.map(([name, shape]) => named(name, shape)),
    {
      lr: json.lr,
      ratio: json.loraplus_lr_ratio,
      weightDecay: json.loraplus_weight_decay,
      embeddingLr: json.loraplus_lr_embedding,
    },
  )
  const found = groups.map(({ lr, weightDecay, params }) => ({
    lr,
    weight_decay: weightDecay,
    params: params.map(({ name }) => name),
  }))
  return { tensors: {}, json: { groups: found } }
}

function compare({ json }: Case, answer: Answer): Check[] {
  return [checkEqual('groups', answer.json?.groups, json.groups)]
}

export const loraPlus: CaseKind = { run, compare, question: ({ groups: _, ...json }) => json }
