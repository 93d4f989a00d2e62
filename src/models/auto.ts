// From a directory in the Hugging Face layout to a model: `model_type` names the family's file,
// config.json its sizes, the safetensors its weights, which stay in their stored dtype.

import { LowrankError } from '../core/errors.ts'
import { openTensors, type TensorFiles } from '../io/safetensors.ts'
import { type ByteSource, locate, readJson } from '../io/source.ts'
import type { CausalLM } from './causal_lm.ts'
import {
  type ClassifierConfig,
  readClassifierConfig,
  SequenceClassifier,
  TokenClassifier,
} from './classifier.ts'
import { ConfigReader, type Json } from './config.ts'
import type { DecoderParts } from './decoder.ts'
import { createLlama, llamaParts } from './llama.ts'
import { fillWeights } from './weights.ts'

/** How the models of one family are made. */
export interface Family {
  /** The decoder with its head. */
  readonly causalLM: (where: string, json: Json) => CausalLM
  /** The decoder alone. */
  readonly parts: (where: string, json: Json) => DecoderParts
}

/** The families by `model_type`; a family is one file of that name. */
export const MODEL_TYPES: Readonly<Record<string, Family>> = {
  llama: { causalLM: createLlama, parts: llamaParts },
}

function familyOf(where: string, json: Json): Family {
  const type = json?.model_type
  const known = typeof type === 'string' && Object.hasOwn(MODEL_TYPES, type)
  const family = known ? MODEL_TYPES[type] : undefined
  if (!family) {
    throw new LowrankError(
      'config',
      `${where}: model_type ${JSON.stringify(type)} is not known ` +
        `(known: ${Object.keys(MODEL_TYPES).join(', ')})`,
    )
  }
  return family
}

/** A model of the family that `json.model_type` names, with weights that are not drawn yet. */
export function createModel(where: string, json: Json): CausalLM {
  return familyOf(where, json).causalLM(where, json)
}

/** Throws a `file` error if a head that config.json ties to the embedding is another in the file. */
async function checkTied(files: TensorFiles, head: string, embedding: string): Promise<void> {
  const both = [head, embedding].filter(name => files.tensors.has(name))
  const [own = [], other = []] = await Promise.all(both.map(name => files.read(name)))
  if (
    both.length > 1 &&
    (own.length !== other.length || own.some((byte, i) => byte !== other[i]))
  ) {
    throw new LowrankError(
      'file',
      `${files.label}: "${head}" differs from "${embedding}", which config.json ties it to ` +
        '(set tie_word_embeddings to false)',
    )
  }
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
  const head = `${model.outputLayer}.weight`
  const tied = !new Map(model.namedParameters()).has(head)
  const files = await openTensors(source)
  if (tied) {
    await checkTied(files, head, `${model.inputLayer}.weight`)
  }
  await fillWeights(model, files, { ignored: name => tied && name === head })
  return model
}

export interface LoadClassifierOptions {
  /** Makes a fresh layer for this many labels in place of the file's, or where it has none. */
  readonly numLabels?: number
}

type MakeClassifier<M> = (parts: DecoderParts, classes: ClassifierConfig) => M

async function loadClassifier<M extends SequenceClassifier | TokenClassifier>(
  source: ByteSource,
  make: MakeClassifier<M>,
  { numLabels }: LoadClassifierOptions,
): Promise<M> {
  const where = locate(source, 'config.json')
  const json = (await readJson(source, 'config.json')) as Json
  const reader = new ConfigReader(
    where,
    numLabels === undefined ? json : withLabels(json, numLabels),
  )
  const classes = readClassifierConfig(reader)
  reader.finish()
  const model = make(familyOf(where, json).parts(where, json), classes)
  const isHead = (name: string): boolean => name.startsWith(`${model.outputLayer}.`)
  const fresh = numLabels === undefined ? undefined : isHead
  // A file of the same body under its language head serves as well.
  const ignored = (name: string): boolean => name === 'lm_head.weight'
  await fillWeights(model, await openTensors(source), { fresh, ignored })
  return model
}

function withLabels(json: Json, numLabels: number): Json {
  return { ...json, id2label: undefined, num_labels: numLabels }
}

/**
 * Reads a model that judges sequences, as transformers' `AutoModelForSequenceClassification` does: the
 * body, and the layer `score` on top. Throws as `loadModel` does.
 *
 * @example
 * ```ts
 * import { tensor } from 'lowrank'
 * import { loadSequenceClassifier } from 'lowrank/models/auto'
 * import { directory } from 'lowrank/node'
 *
 * const source = directory('examples/house/model')
 * const model = await loadSequenceClassifier(source, { numLabels: 3 })
 * console.log(model.forward(tensor([5, 6, 7], [1, 3], { dtype: 'int32' })).shape) // [1, 3]
 * ```
 */
export function loadSequenceClassifier(
  source: ByteSource,
  options: LoadClassifierOptions = {},
): Promise<SequenceClassifier> {
  const make: MakeClassifier<SequenceClassifier> = (parts, classes) =>
    new SequenceClassifier(parts, classes)
  return loadClassifier(source, make, options)
}

/**
 * Reads a model that judges every token, as transformers' `AutoModelForTokenClassification` does.
 * Throws as `loadModel` does.
 */
export function loadTokenClassifier(
  source: ByteSource,
  options: LoadClassifierOptions = {},
): Promise<TokenClassifier> {
  const make: MakeClassifier<TokenClassifier> = (parts, classes) =>
    new TokenClassifier(parts, classes)
  return loadClassifier(source, make, options)
}
