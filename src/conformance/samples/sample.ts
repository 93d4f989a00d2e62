// A sample of an op: inputs that are drawn, and one call. Gradient checks, comparisons of backends
// and fingerprints all run over the same samples. Inputs are float32 numbers, so that every backend
// starts from the same ones; u is uniform in [0, 1):
//
//   x = low + (high − low)·u        index = ⌊below·u⌋
//   x = low + (high − low)·(p + 1/4 + u/2) / n,  p a permutation of 0 … n − 1, where values have to
//       keep a distance from each other and, for an even n, from the middle
import type { Backend } from '../../core/backend.ts'
import { Random } from '../../core/rng.ts'
import { countOf, type Shape } from '../../core/shape.ts'
import { type Tensor, tensor } from '../../core/tensor.ts'

export interface SampleInput {
  readonly shape: Shape
  readonly low?: number
  readonly high?: number
  /** Keeps values apart: no differences across a kink. */
  readonly apart?: boolean
  /** Integers from 0 up to, but without, this. */
  readonly below?: number
  /** Not differentiated: targets, weights of a loss, tables. */
  readonly constant?: boolean
}

export interface Sample {
  /** The public name of the op. */
  readonly op: string
  /** What this sample is of, where an op has several. */
  readonly variant?: string
  readonly inputs: readonly SampleInput[]
  // biome-ignore lint/suspicious/noExplicitAny: each op takes its own inputs
  readonly call: (...inputs: any[]) => Tensor
  /** Its gradient is not that of its value, on purpose: rounding, rows of padding. */
  readonly cut?: boolean
  /** Scaled error between backends, from the length of the sums; 4e-6 if absent. */
  readonly tolerance?: number
}

export const sampleName = ({ op, variant }: Sample): string => (variant ? `${op} ${variant}` : op)

export function x(...shape: number[]): SampleInput {
  return { shape }
}

export function positive(...shape: number[]): SampleInput {
  return { shape, low: 0.2, high: 2 }
}

export function apart(...shape: number[]): SampleInput {
  return { shape, apart: true }
}

export function indices(below: number, ...shape: number[]): SampleInput {
  return { shape, below }
}

export function fixed(input: SampleInput): SampleInput {
  return { ...input, constant: true }
}

function shuffled(length: number, random: Random): number[] {
  const order = Array.from({ length }, (_, i) => i)
  for (let i = length - 1; i > 0; i--) {
    const j = Math.floor((i + 1) * random.uniform())
    const kept = order[i]
    order[i] = order[j]
    order[j] = kept
  }
  return order
}

function drawInput(input: SampleInput, random: Random): ArrayLike<number> {
  const { shape, low = -1, high = 1, below } = input
  const length = countOf(shape)
  if (below !== undefined) {
    return Int32Array.from({ length }, () => Math.floor(below * random.uniform()))
  }
  const order = input.apart ? shuffled(length, random) : undefined
  return Float32Array.from({ length }, (_, i) => {
    const u = random.uniform()
    return low + (high - low) * (order ? (order[i] + 0.25 + u / 2) / length : u)
  })
}

/** The elements of every input, the same for the same seed on every machine. */
export function draw(sample: Sample, seed: number): ArrayLike<number>[] {
  const random = new Random(seed, sampleName(sample))
  return sample.inputs.map(input => drawInput(input, random))
}

export function isDifferentiated({ below, constant }: SampleInput): boolean {
  return below === undefined && !constant
}

/** The inputs as tensors of a backend. */
export function inputsOf(
  sample: Sample,
  data: readonly ArrayLike<number>[],
  backend: Backend,
): Tensor[] {
  return sample.inputs.map((input, i) =>
    tensor(data[i], input.shape, {
      backend,
      dtype: input.below === undefined ? 'float32' : 'int32',
      requiresGrad: isDifferentiated(input),
    }),
  )
}
