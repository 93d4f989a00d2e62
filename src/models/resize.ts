// A vocabulary of another size: rows of the embedding and of the head are added or cut off. New rows
// are the mean of the old ones, in the dtype of the weight: transformers' `resize_token_embeddings`
// draws closely around the same mean.

import type { TypedArray } from '../core/dtype.ts'
import { LowrankError } from '../core/errors.ts'
import { narrow } from '../core/half.ts'
import { Parameter } from '../core/parameter.ts'
import { Embedding } from '../nn/embedding.ts'
import { Linear } from '../nn/linear.ts'
import type { CausalLM } from './causal_lm.ts'

function meanRow(wide: Float32Array | Float64Array, rows: number, columns: number): Float64Array {
  const mean = new Float64Array(columns)
  for (let i = 0; i < wide.length; i++) {
    mean[i % columns] += wide[i] / rows
  }
  return mean
}

/** The weight [V, C] with `rows` rows; the old ones keep their bits. */
function resizedWeight(weight: Parameter, rows: number): Parameter {
  const [before, columns] = weight.shape
  const bits = weight.bits()
  const Bits = bits.constructor as new (length: number) => TypedArray
  const next = new Bits(rows * columns)
  next.set(bits.subarray(0, next.length))
  if (rows > before) {
    const mean = meanRow(weight.dataSync() as Float32Array, before, columns)
    const { dtype } = weight
    const row = dtype === 'float16' || dtype === 'bfloat16' ? narrow(mean, dtype) : mean
    for (let i = before; i < rows; i++) {
      next.set(row, i * columns)
    }
  }
  const { dtype, backend, requiresGrad } = weight
  const made = new Parameter(next, [rows, columns], { dtype, backend, requiresGrad })
  made.name = weight.name
  return made
}

function plainLayers(model: CausalLM): { input: Embedding; output: Linear } {
  const at = new Map(model.namedModules())
  const [input, output] = [at.get(model.inputLayer), at.get(model.outputLayer)]
  if (!(input instanceof Embedding) || !(output instanceof Linear)) {
    throw new LowrankError(
      'target',
      'resizeTokenEmbeddings: expected a plain embedding and head, got adapted ones ' +
        '(resize before attaching or loading an adapter)',
    )
  }
  return { input, output }
}

function place(model: CausalLM, path: string, layer: Embedding | Linear): void {
  const owner = model.ownerOf(path)
  owner?.[0].replaceMember(owner[1], layer)
}

/**
 * Gives a model a vocabulary of `vocabSize` tokens, in place: the first rows of embedding and head stay
 * as they are, new ones are the mean of the old. An adapter saved from a resized model carries both
 * layers, as PEFT's does, and loads onto a model resized in the same way. Throws an `argument` error
 * for a size below 1, a `target` error where embedding or head are adapted already.
 *
 * @example
 * ```ts
 * import { resizeTokenEmbeddings } from 'lowrank/models'
 * import { loadModel } from 'lowrank/models/auto'
 * import { directory } from 'lowrank/node'
 *
 * const model = await loadModel(directory('examples/house/model'))
 * resizeTokenEmbeddings(model, model.sizes.vocabSize + 4)
 * console.log(model.sizes.vocabSize - model.originalVocabSize) // 4
 * ```
 */
export function resizeTokenEmbeddings(model: CausalLM, vocabSize: number): void {
  if (!Number.isInteger(vocabSize) || vocabSize < 1) {
    throw new LowrankError(
      'argument',
      `resizeTokenEmbeddings: expected a whole number from 1 up, got ${vocabSize}`,
    )
  }
  const { input, output } = plainLayers(model)
  const { embeddingDim, paddingIdx, scale } = input
  const { inFeatures, bias } = output
  if (bias) {
    throw new LowrankError('argument', 'resizeTokenEmbeddings: expected a head without a bias')
  }
  const table = resizedWeight(input.weight, vocabSize)
  const tied = output.weight === input.weight
  const weight = tied ? table : resizedWeight(output.weight, vocabSize)
  const embedding = new Embedding(vocabSize, embeddingDim, {
    paddingIdx: paddingIdx === undefined || paddingIdx < vocabSize ? paddingIdx : undefined,
    scale,
    weight: table,
  })
  const head = new Linear(inFeatures, vocabSize, { bias: false, weight })
  place(model, model.inputLayer, embedding)
  place(model, model.outputLayer, head)
  model.setVocabSize(vocabSize)
  input.dispose()
  output.dispose()
}
