// Writing a model in the Hugging Face layout: model.safetensors under transformers' names, and the
// files beside it (config, tokenizer, generation settings) as they were.

import type { DType } from '../core/dtype.ts'
import { LowrankError } from '../core/errors.ts'
import type { Parameter } from '../core/parameter.ts'
import { bytesOf, fromNumbers, type StoredDType, storedDType } from '../io/dtypes.ts'
import { streamSafetensors, type TensorContent } from '../io/safetensors-writer.ts'
import type { ByteSource, Directory, FileContent, WriteOptions } from '../io/source.ts'
import { holdersIn, plainPath } from '../lora/adapters.ts'
import type { CausalLM } from './causal_lm.ts'

export interface SaveModelOptions extends WriteOptions {
  /** Where config.json and the tokenizer come from: the directory the model was read from. */
  readonly source: ByteSource
  /** The element type of the file; each weight's own if absent. */
  readonly dtype?: DType
}

const COPIED =
  /^(config|generation_config|tokenizer.*|special_tokens_map|added_tokens|vocab)\.(json|txt|model)$|^merges\.txt$|\.jinja$/

function contentOf(parameter: Parameter, dtype: DType): TensorContent {
  const stored: StoredDType = storedDType(dtype)
  const { precision, synchronous } = parameter.backend
  const asItIs = dtype === parameter.dtype && precision === 32 && synchronous
  const bytes = async (): Promise<Uint8Array> =>
    asItIs ? bytesOf(parameter.bits()) : fromNumbers(await parameter.data(), stored)
  return { dtype: stored, shape: parameter.shape, bytes }
}

/** Whether the head has a weight of its own, as it has once an adapter of one of the two is merged. */
function hasOwnHead(model: CausalLM): boolean {
  const names = [...model.namedParameters()].map(([name]) => plainPath(name))
  return names.includes(`${model.outputLayer}.weight`)
}

/** What config.json says anew of a model that is no longer as it was read. */
function changes(model: CausalLM, dtype: DType | undefined, json: object): object {
  const key = 'torch_dtype' in json ? 'torch_dtype' : 'dtype'
  const tied = 'tie_word_embeddings' in json && json.tie_word_embeddings
  return {
    ...(dtype === undefined ? {} : { [key]: dtype }),
    ...(model.sizes.vocabSize === model.originalVocabSize
      ? {}
      : { vocab_size: model.sizes.vocabSize }),
    ...(tied && hasOwnHead(model) ? { tie_word_embeddings: false } : {}),
  }
}

async function copied(
  source: ByteSource,
  model: CausalLM,
  dtype: DType | undefined,
): Promise<Map<string, FileContent>> {
  const files = new Map<string, FileContent>()
  for (const name of await source.list()) {
    if (COPIED.test(name)) {
      files.set(name, await source.read(name))
    }
  }
  const config = files.get('config.json')
  if (config instanceof Uint8Array) {
    const json = JSON.parse(new TextDecoder().decode(config))
    const changed = changes(model, dtype, json)
    if (Object.keys(changed).length > 0) {
      files.set('config.json', `${JSON.stringify({ ...json, ...changed }, null, 2)}\n`)
    }
  }
  return files
}

/**
 * Writes a model without adapters: all files, or nothing. Throws a `target` error if there are
 * adapters left on it.
 */
export async function saveModel(
  model: CausalLM,
  directory: Directory,
  options: SaveModelOptions,
): Promise<void> {
  const held = holdersIn(model).filter(({ holder }) => holder.names().length > 0)
  if (held.length > 0) {
    throw new LowrankError(
      'target',
      `saveModel: expected a plain model, got one with adapters on ${held.length} modules: ` +
        `${held.slice(0, 3).map(({ path }) => path)} (mergeAndUnload, or saveAdapter)`,
    )
  }
  const tensors = new Map<string, TensorContent>()
  for (const [name, parameter] of model.namedParameters()) {
    // A wrapper that the last adapter was taken from is still there.
    tensors.set(plainPath(name), contentOf(parameter, options.dtype ?? parameter.dtype))
  }
  const files = await copied(options.source, model, options.dtype)
  files.set('model.safetensors', streamSafetensors(tensors, { format: 'pt' }))
  await directory.writeAll(files, options)
}
