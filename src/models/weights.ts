// Filling a model from safetensors: every parameter from the tensor of its path, all of them checked
// before the first is changed. Weights keep their stored dtype and are frozen.

import { throwAll } from '../core/errors.ts'
import type { Parameter } from '../core/parameter.ts'
import { formatShape, sameShape } from '../core/shape.ts'
import { floatsIn, type StoredDType, type StoredFloat, tensorDType } from '../io/dtypes.ts'
import type { TensorFiles } from '../io/safetensors.ts'
import type { Module } from '../nn/module.ts'

const FLOATS: readonly StoredDType[] = ['F32', 'F16', 'BF16']

function problemOf(name: string, parameter: Parameter, files: TensorFiles): string | undefined {
  const stored = files.tensors.get(name)
  if (!stored) {
    return `missing "${name}" ${formatShape(parameter.shape)}`
  }
  if (!sameShape(stored.shape, parameter.shape)) {
    const made = formatShape(parameter.shape)
    return `"${name}" is ${formatShape(stored.shape)}, config.json makes it ${made}`
  }
  return FLOATS.includes(stored.dtype)
    ? undefined
    : `"${name}" is ${stored.dtype}, expected one of ${FLOATS.join(', ')}`
}

async function fill(parameter: Parameter, name: string, files: TensorFiles): Promise<void> {
  const stored = files.tensors.get(name)?.dtype as StoredFloat
  parameter.replace(floatsIn(await files.read(name), stored), tensorDType(stored))
  parameter.freeze()
}

/** What the file may differ in from the model. */
export interface FillOptions {
  /** Whether a tensor of the file that the model has no place for is left out. */
  readonly ignored?: (name: string) => boolean
  /** Whether a parameter keeps what it was made with, whatever the file holds. */
  readonly fresh?: (name: string) => boolean
}

/**
 * Reads all weights of a model. Throws a `file` error that lists everything missing, unexpected or
 * mis-shaped, before anything is changed.
 */
export async function fillWeights(
  model: Module,
  files: TensorFiles,
  { ignored = () => false, fresh = () => false }: FillOptions = {},
): Promise<void> {
  const all = new Map(model.namedParameters())
  const wanted = [...all].filter(([name]) => !fresh(name))
  const known = (name: string): boolean =>
    all.has(name) || ignored(name) || name.endsWith('.rotary_emb.inv_freq')
  const problems = [
    ...wanted.flatMap(([name, parameter]) => problemOf(name, parameter, files) ?? []),
    ...[...files.tensors.keys()].filter(name => !known(name)).map(name => `unexpected "${name}"`),
  ]
  throwAll('file', files.label, problems)
  for (const [name, parameter] of wanted) {
    await fill(parameter, name, files)
  }
  for (const [name, parameter] of all) {
    parameter.name = name
  }
}
