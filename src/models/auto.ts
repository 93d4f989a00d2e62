// From a directory in the Hugging Face layout to a model: `model_type` names the family's file,
// config.json its sizes, the safetensors its weights, which stay in their stored dtype.

import { BYTES } from '../core/dtype.ts'
import { LowrankError, throwAll } from '../core/errors.ts'
import type { Parameter } from '../core/parameter.ts'
import { formatShape, sameShape } from '../core/shape.ts'
import { type StoredDType, tensorDType, toFloat32 } from '../io/dtypes.ts'
import { openTensors, type TensorFiles } from '../io/safetensors.ts'
import { type ByteSource, locate, readJson } from '../io/source.ts'
import type { CausalLM } from './causal_lm.ts'
import type { Json } from './config.ts'
import { createLlama } from './llama.ts'

type Create = (where: string, json: Json) => CausalLM

/** The families by `model_type`; a family is one file of that name. */
export const MODEL_TYPES: Readonly<Record<string, Create>> = {
  llama: createLlama,
}

/** A model of the family that `json.model_type` names, with weights that are not drawn yet. */
export function createModel(where: string, json: Json): CausalLM {
  const type = json?.model_type
  const create = typeof type === 'string' ? MODEL_TYPES[type] : undefined
  if (!create) {
    throw new LowrankError(
      'config',
      `${where}: model_type ${JSON.stringify(type)} is not known ` +
        `(known: ${Object.keys(MODEL_TYPES).join(', ')})`,
    )
  }
  return create(where, json)
}

const FLOATS: readonly StoredDType[] = ['F32', 'F16', 'BF16']

function weightProblems(
  parameters: ReadonlyMap<string, Parameter>,
  files: TensorFiles,
  tied: ReadonlySet<string>,
): string[] {
  const problems: string[] = []
  for (const [name, parameter] of parameters) {
    const stored = files.tensors.get(name)
    if (!stored) {
      problems.push(`missing "${name}" ${formatShape(parameter.shape)}`)
    } else if (!sameShape(stored.shape, parameter.shape)) {
      problems.push(
        `"${name}" is ${formatShape(stored.shape)}, config.json makes it ` +
          formatShape(parameter.shape),
      )
    } else if (!FLOATS.includes(stored.dtype)) {
      problems.push(`"${name}" is ${stored.dtype}, expected one of ${FLOATS.join(', ')}`)
    }
  }
  for (const name of files.tensors.keys()) {
    if (!parameters.has(name) && !tied.has(name) && !name.endsWith('.rotary_emb.inv_freq')) {
      problems.push(`unexpected "${name}"`)
    }
  }
  return problems
}

async function fill(parameter: Parameter, name: string, files: TensorFiles): Promise<void> {
  const stored = files.tensors.get(name)?.dtype as StoredDType
  const dtype = tensorDType(stored) ?? 'float32'
  const bytes = await files.read(name)
  const half = BYTES[dtype] === 2
  parameter.replace(
    half
      ? new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2)
      : toFloat32(bytes, stored),
    dtype,
  )
  parameter.freeze()
}

/**
 * Reads a model: config.json and model.safetensors, or its shards. Weights keep their dtype and are
 * frozen: `attach` an adapter, or `unfreeze()` to train all of them. Throws `file` or `config` errors that
 * list everything missing, unexpected or mis-shaped.
 *
 * @example
 * ```ts
 * import { loadModel } from 'lowrank/models/auto'
 * import { directory } from 'lowrank/node'
 *
 * const model = await loadModel(directory('examples/house/model'))
 * console.log(model.modelType) // llama
 * ```
 */
export async function loadModel(source: ByteSource): Promise<CausalLM> {
  const where = locate(source, 'config.json')
  const model = createModel(where, (await readJson(source, 'config.json')) as Json)
  const files = await openTensors(source)
  const parameters = new Map(model.namedParameters())
  const tied = new Set(
    parameters.has(`${model.outputLayer}.weight`) ? [] : [`${model.outputLayer}.weight`],
  )
  throwAll('file', files.label, weightProblems(parameters, files, tied))
  for (const [name, parameter] of parameters) {
    await fill(parameter, name, files)
    parameter.name = name
  }
  return model
}
