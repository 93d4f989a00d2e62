// Cases of the family random: the words, uniform and normal draws of one stream of the generator, the
// order that it shuffles into, and which elements dropout drops.

import { Random } from '../core/rng.ts'
import { backward, step } from '../core/tape.ts'
import { tensor } from '../core/tensor.ts'
import { dropoutOp } from '../ops/index.ts'
import type { Case } from './case.ts'
import { type Answer, answered, type CaseKind, stored } from './kind.ts'

function runStream({ json }: Case): Answer {
  const { seed, stream, stream_name: name, count } = json
  const draws = new Random(seed, name ?? stream)
  const words = Float64Array.from({ length: count }, () => draws.uint32())
  const numbers = new Random(seed, stream)
  const uniform = Float64Array.from({ length: count }, () => numbers.uniform())
  const shape = [count]
  return { tensors: { words: { shape, data: words }, uniform: { shape, data: uniform } } }
}

function runNormal({ json }: Case): Answer {
  const { seed, stream, count } = json
  const draws = new Random(seed, stream)
  const data = Float64Array.from({ length: count }, () => draws.normal())
  return { tensors: { normal: { shape: [count], data } } }
}

function runShuffle({ json }: Case): Answer {
  const { seed, stream, count } = json
  const data = new Random(seed, stream).shuffle(Array.from({ length: count }, (_, i) => i))
  return { tensors: { order: { shape: [count], data } } }
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
  'random/normal': { run: runNormal },
  'random/shuffle': { run: runShuffle },
  'random/dropout': { run: runDropout },
}
