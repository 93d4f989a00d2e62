// Cases of the family random: the words and uniform draws of one stream of the generator, and which
// elements dropout drops.

import { Random } from '../core/rng.ts'
import { backward, step } from '../core/tape.ts'
import { tensor } from '../core/tensor.ts'
import { dropoutOp } from '../ops/index.ts'
import type { Case } from './case.ts'
import { type Answer, answered, type CaseKind, stored } from './kind.ts'

function runStream({ json }: Case): Answer {
  const { seed, stream, count } = json
  const draws = new Random(seed, stream)
  const words = Float64Array.from({ length: count }, () => draws.uint32())
  const numbers = new Random(seed, stream)
  const uniform = Float64Array.from({ length: count }, () => numbers.uniform())
  const shape = [count]
  return { tensors: { words: { shape, data: words }, uniform: { shape, data: uniform } } }
}

async function runDropout(example: Case): Promise<Answer> {
  const { p, seed, stream } = example.json
  const { data, shape } = stored(example, 'x')
  const dy = stored(example, 'd_y').data
  const x = tensor(data, shape, { requiresGrad: true })
  const y = step(() => {
    const result = dropoutOp([x], { p, seed, stream })
    backward(result, tensor(dy, shape))
    return result
  })
  return { tensors: { y: await answered(y), grad_x: await answered(x.grad) } }
}

export const randomKinds: Readonly<Record<string, CaseKind>> = {
  'random/stream': { run: runStream },
  'random/dropout': { run: runDropout },
}
