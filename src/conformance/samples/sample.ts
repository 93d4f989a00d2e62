// A sample of an op: inputs that are drawn, and one call. Gradient checks, comparisons of backends
// and fingerprints all run over the same samples. Inputs are float32 numbers, so that every backend
// starts from the same ones; u is uniform in [0, 1):
//
//   x = low + (high − low)·u        index = ⌊below·u⌋

import type { Backend } from '../../core/backend.ts'
import { Random } from '../../core/rng.ts'
import { countOf, type Shape } from '../../core/shape.ts'
import { type Tensor, tensor } from '../../core/tensor.ts'

export interface SampleInput {
  readonly shape: Shape
  readonly low?: number
  readonly high?: number
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

export function indices(below: number, ...shape: number[]): SampleInput {
  return { shape, below }
}

export function fixed(input: SampleInput): SampleInput {
  return { ...input, constant: true }
}

/** The elements of every input, the same for the same seed on every machine. */
export function draw(sample: Sample, seed: number): ArrayLike<number>[] {
  const random = new Random(seed, sampleName(sample))
  return sample.inputs.map(({ shape, low = -1, high = 1, below }) => {
    const length = countOf(shape)
    return below === undefined
      ? Float32Array.from({ length }, () => low + (high - low) * random.uniform())
      : Int32Array.from({ length }, () => Math.floor(below * random.uniform()))
  })
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
