// Casts of the family ops: F32 rounded to half precision and back, bit for bit.

import { narrow } from '../../core/half.ts'
import { tensor } from '../../core/tensor.ts'
import { cast, type FloatType } from '../../ops/cast.ts'
import type { Case } from '../case.ts'
import { type Check, compareTensor } from '../compare.ts'
import { type Answer, answered, type CaseKind, stored } from '../kind.ts'

const OUTPUTS = ['y', 'y_bits', 'back'] as const

async function run(example: Case): Promise<Answer> {
  const { data, shape } = stored(example, 'x')
  const dtype = example.json.to as Exclude<FloatType, 'float32'>
  const half = cast(tensor(data, shape), dtype)
  const back = cast(half, 'float32')
  // Halves are exact in float32, so that their bits can be had from their values.
  const bits = Int16Array.from(narrow(await half.data(), dtype))
  const tensors = {
    y: await answered(half),
    y_bits: { shape, data: bits },
    back: await answered(back),
  }
  return { tensors }
}

function compare(example: Case, answer: Answer): Check[] {
  return OUTPUTS.map(name => compareTensor(name, answer.tensors[name], stored(example, name), 0))
}

export const castCase: CaseKind = { run, compare, outputs: () => [...OUTPUTS] }
