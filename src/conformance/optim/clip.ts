// Clipping of the family optim: the norm of all gradients g{i} together, and the gradients after it.

import { Parameter } from '../../core/parameter.ts'
import { clipGradNorm } from '../../optim/index.ts'
import type { Case } from '../case.ts'
import { type Answer, allAnswered, answered, type CaseKind, stored } from '../kind.ts'
import { setGradient } from './gradient.ts'

async function run(example: Case): Promise<Answer> {
  const { json, tensors } = example
  const names = [...tensors.keys()].filter(name => /^g\d+$/.test(name)).sort()
  const parameters = names.map(name => {
    const { data, shape } = stored(example, name)
    const parameter = new Parameter(new Float32Array(data.length), shape)
    setGradient(parameter, data)
    return parameter
  })
  const normType = json.norm_type === 'inf' ? Number.POSITIVE_INFINITY : json.norm_type
  const norm = clipGradNorm(parameters, json.max_norm, { normType })
  const clipped = names.map((name, i) => [`clipped.${name}`, parameters[i].grad] as const)
  const found = await allAnswered(Object.fromEntries(clipped))
  const total = await answered(norm)
  const { shape } = stored(example, 'total_norm')
  return { tensors: { ...found, total_norm: total && { shape, data: total.data } } }
}

export const clip: CaseKind = { run }
