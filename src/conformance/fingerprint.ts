// A fingerprint: a fixed small job that touches every kernel, as hashes, so that two runtimes can be
// compared by one line. First every sample of an op, forward and backward, under the op's name; then
// every optimizer; then a LoRA run: losses, adapter, merged logits, generated tokens. Hashes are
// FNV-1a of the little-endian bytes, twice with different offsets, 64 bits together.
// Source of the hash: Fowler, Noll, Vo; draft-eastlake-fnv-34.

import { type Backend, currentBackend } from '../core/backend.ts'
import { manualSeed } from '../core/random_state.ts'
import { Random } from '../core/rng.ts'
import { backward, noGrad, step } from '../core/tape.ts'
import { type Tensor, tensor } from '../core/tensor.ts'
import { fingerprintOptimizers } from './fingerprint_optimizers.ts'
import { fingerprintRun } from './fingerprint_run.ts'
import { Hash } from './hash.ts'
import { draw, inputsOf, SAMPLES, type Sample, sampleName } from './samples/index.ts'

/** One hash of a fingerprint. */
export interface FingerprintStage {
  /** `op softmax`, `optimizer AdamW`, `run losses`. */
  readonly name: string
  /** 16 hexadecimal digits. */
  readonly hash: string
}

export interface FingerprintOptions {
  /** Seeds all that is drawn; 0 if absent. */
  readonly seed?: number
}

/** Values and gradients of one sample. */
async function hashSample(sample: Sample, seed: number, backend: Backend): Promise<string> {
  const inputs = inputsOf(sample, draw(sample, seed), backend)
  const random = new Random(seed, `dy ${sampleName(sample)}`)
  const run = (): Tensor => {
    const y = sample.call(...inputs)
    if (y.requiresGrad) {
      const dy = Float32Array.from({ length: y.size }, () => random.uniform() * 2 - 1)
      backward(y, tensor(dy, y.shape, { backend }))
    }
    return y
  }
  const hash = new Hash()
  hash.add(await (inputs.some(x => x.requiresGrad) ? step(run) : noGrad(run)).data())
  for (const { grad } of inputs) {
    hash.add((await grad?.data()) ?? [])
  }
  return hash.text()
}

async function hashSamples(seed: number, backend: Backend): Promise<FingerprintStage[]> {
  const stages: FingerprintStage[] = []
  for (const sample of SAMPLES) {
    const hash = await hashSample(sample, seed, backend)
    stages.push({ name: `op ${sampleName(sample)}`, hash })
  }
  return stages
}

/**
 * The fingerprint of this runtime on the current backend: the same on every runtime where
 * `memory().reproducible` says so. It reseeds the global draws, as `manualSeed` does. Needs nothing of
 * Node.
 *
 * @example
 * ```ts
 * import { fingerprint } from 'lowrank/conformance'
 *
 * const stages = await fingerprint({ seed: 1 })
 * console.log(stages.at(-1)?.name) // all
 * ```
 */
export async function fingerprint(options: FingerprintOptions = {}): Promise<FingerprintStage[]> {
  const { seed = 0 } = options
  const backend = currentBackend()
  manualSeed(seed)
  const stages = [
    ...(await hashSamples(seed, backend)),
    ...(await fingerprintOptimizers(seed)),
    ...(await fingerprintRun(seed)),
  ]
  const all = new Hash()
  for (const { name, hash } of stages) {
    all.addText(`${name} ${hash}\n`)
  }
  return [...stages, { name: 'all', hash: all.text() }]
}

/** The stages whose hashes differ: ops first, which is where a difference comes from. */
export function differingStages(
  got: readonly FingerprintStage[],
  want: readonly FingerprintStage[],
): string[] {
  const known = new Map(want.map(({ name, hash }) => [name, hash]))
  const found = new Set(got.map(({ name }) => name))
  const differing = got.filter(({ name, hash }) => known.get(name) !== hash)
  const missing = want.filter(({ name }) => !found.has(name))
  return [...differing, ...missing].map(({ name }) => name)
}
