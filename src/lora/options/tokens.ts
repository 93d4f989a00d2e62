// `trainableTokenIndices`: tokens whose rows of the embedding are trained, beside the updates. A list is
// for the model's embedding, a record for the modules whose paths end in its keys. An output layer that
// shares the embedding's weight shares the rows, as in PEFT 0.21, `TrainableTokensWrapper`.

import { Parameter } from '../../core/parameter.ts'
import { Embedding } from '../../nn/embedding.ts'
import { Linear } from '../../nn/linear.ts'
import type { Module } from '../../nn/module.ts'
import { replaceAt } from '../attach.ts'
import type { Extension, PartsRequest, PlannedPart } from '../extension.ts'
import { placeOf, plainAt } from '../saved_module.ts'
import { fileKey } from '../state.ts'
import { rowsOf, TOKENS_KEY, TokenModule, type Tokens } from '../token_module.ts'
import { isSaved, savedNames } from './modules.ts'

/** The option of trained tokens. */
export interface TokensConfig {
  /** Tokens whose rows are trained: of the embedding, or by the ends of modules' paths. */
  readonly trainableTokenIndices?: readonly number[] | Readonly<Record<string, readonly number[]>>
}

type Wanted = readonly [path: string, indices: readonly number[]]

function wanted({ model, config, candidates, problems }: PartsRequest): Wanted[] {
  const { trainableTokenIndices: tokens = {} } = config
  const named = Array.isArray(tokens) ? { [model.inputLayer ?? 'embed_tokens']: tokens } : tokens
  return Object.entries(named).flatMap(([name, indices]): Wanted[] => {
    const found = candidates.filter(({ path }) => path.endsWith(name))
    if (found.length === 0) {
      problems.push(`trainableTokenIndices: no module of the model ends in "${name}"`)
    }
    return found.map(({ path }) => [path, indices])
  })
}

/** Gives an adapter rows of the layer at `path`. */
function giveTokens(model: Module, path: string, name: string, tokens: Tokens): Module {
  const [place, module] = placeOf(model, path)
  if (module instanceof TokenModule) {
    module.tokens.set(name, tokens)
    return model
  }
  const holder = new TokenModule(module, plainAt(model, path) as Embedding | Linear)
  holder.tokens.set(name, tokens)
  return replaceAt(model, place, holder)
}

function tokensPart(
  { model, config, problems }: PartsRequest,
  [path, indices]: Wanted,
): PlannedPart | undefined {
  const plain = plainAt(model, path)
  if (!(plain instanceof Embedding)) {
    problems.push(`"${path}" is a ${plain.constructor.name}, which has no rows for tokens`)
    return undefined
  }
  if (isSaved(path, savedNames(config))) {
    problems.push(`trainableTokenIndices: "${path}" is trained whole already (modulesToSave)`)
    return undefined
  }
  const { numEmbeddings, embeddingDim } = plain
  const wrong = indices.filter(token => !(token >= 0 && token < numEmbeddings))
  if (wrong.length > 0) {
    problems.push(
      `trainableTokenIndices: expected tokens in 0 … ${numEmbeddings - 1}, got ${wrong.join(', ')}`,
    )
    return undefined
  }
  const { outputLayer } = model
  const head = outputLayer === undefined ? undefined : plainAt(model, outputLayer)
  const tied = head instanceof Linear && head.weight === plain.weight ? outputLayer : undefined
  const key = fileKey(path, TOKENS_KEY)
  const shape = [indices.length, embeddingDim]
  return {
    parameters: indices.length * embeddingDim,
    shapes: new Map([[key, shape]]),
    apply(target, adapterName, stored) {
      const { weight } = plain
      const data = stored?.get(key)
      const rows = data
        ? new Parameter(data, shape, { backend: weight.backend })
        : rowsOf(weight, indices)
      const result = giveTokens(target, path, adapterName, { indices, rows })
      return tied === undefined
        ? result
        : giveTokens(result, tied, adapterName, { indices, rows, shared: true })
    },
  }
}

function isTokens(value: unknown): boolean {
  const once = Array.isArray(value) && new Set(value).size === value.length
  return once && value.every(Number.isInteger)
}

export const tokens: Extension = {
  name: 'tokens',
  options: {
    trainableTokenIndices: value => {
      const lists = Array.isArray(value) ? [value] : Object.values(Object(value))
      return lists.length > 0 && lists.every(isTokens) ? undefined : 'whole numbers, each once'
    },
  },
  parts: request =>
    wanted(request).flatMap(tokens => {
      return tokensPart(request, tokens) ?? []
    }),
}
