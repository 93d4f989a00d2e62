// Casts of the family ops: F32 rounded to half precision and back, bit for bit but in NaN.

import { narrow } from '../../core/half.ts'
import { tensor } from '../../core/tensor.ts'
import { cast, type FloatType } from '../../ops/cast.ts'
import type { Case, CaseTensor } from '../case.ts'
import { type Answered, type Check, compareTensor } from '../compare.ts'
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

/** The bits of a NaN are free: PyTorch's own differ between its vector and its scalar loops. */
function withBitsOf(got: Answered | undefined, want: CaseTensor, y: CaseTensor): typeof got {
  const data =
    got && Array.from(got.data, (bits, i) => (isFreeNaN(bits, y, i) ? want.data[i] : bits))
  return got && data && { shape: got.shape, data }
}

/** Whether bits are those of a NaN where one is wanted. */
function isFreeNaN(bits: number, { data, dtype }: CaseTensor, i: number): boolean {
  const exponent = dtype === 'BF16' ? 0x7f80 : 0x7c00
  return Number.isNaN(data[i]) && (bits & 0x7fff) > exponent
}

function compare(example: Case, { tensors }: Answer): Check[] {
  const [y, bits] = [stored(example, 'y'), stored(example, 'y_bits')]
  const answers: Answer['tensors'] = { ...tensors, y_bits: withBitsOf(tensors.y_bits, bits, y) }
  return OUTPUTS.map(name => compareTensor(name, answers[name], stored(example, name), 0))
}

export const castCase: CaseKind = { run, compare, outputs: () => [...OUTPUTS] }
