// Files that the commands share: models with their tokenizers, examples, adapters.

import { access, constants, readFile, stat } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { LowrankError } from '../core/errors.ts'
import { load } from '../lora/index.ts'
import { loadModel } from '../models/auto.ts'
import type { CausalLM } from '../models/index.ts'
import { directory } from '../node/index.ts'
import { type LoadedTokenizer, loadTokenizer } from '../tokenizer/index.ts'
import { type Example, parseExamples } from '../train/index.ts'
import type { Output } from './output.ts'

export interface LoadedModel {
  readonly model: CausalLM
  readonly tokenizer: LoadedTokenizer
}

/** A model directory, and the adapter on it if one is given; warns of one made for another base. */
export async function openModel(
  path: string,
  adapter?: string,
  output?: Output,
): Promise<LoadedModel> {
  const source = directory(path)
  const model = await loadModel(source)
  const tokenizer = await loadTokenizer(source)
  if (tokenizer.vocabSize > model.sizes.vocabSize) {
    throw new LowrankError(
      'config',
      `${path}: the tokenizer has ${tokenizer.vocabSize} tokens, the model ` +
        `${model.sizes.vocabSize} (they do not belong together)`,
    )
  }
  if (adapter !== undefined) {
    await load(model, directory(adapter), { onWarning: warning => output?.warn(warning) })
  }
  return { model, tokenizer }
}

/** The examples of a JSONL file. */
export async function readExamples(path: string): Promise<Example[]> {
  let bytes: Uint8Array
  try {
    bytes = await readFile(path)
  } catch (cause) {
    throw new LowrankError('file', `${path}: cannot be read: ${(cause as Error).message}`, {
      cause,
    })
  }
  return parseExamples(bytes, basename(path))
}

/** What is at a path; nothing where there is nothing. */
async function kindAt(path: string): Promise<'directory' | 'file' | undefined> {
  try {
    return (await stat(path)).isDirectory() ? 'directory' : 'file'
  } catch {
    return undefined
  }
}

/** Throws a `file` error unless a file can be written at `path`: before hours of work, not after. */
export async function checkWritableFile(path: string): Promise<void> {
  if ((await kindAt(path)) === 'directory') {
    throw new LowrankError('file', `${path}: expected the name of a file, got a directory`)
  }
  let above = dirname(path)
  while ((await kindAt(above)) === undefined && above !== dirname(above)) {
    above = dirname(above)
  }
  try {
    await access(`${above}/`, constants.W_OK)
  } catch (cause) {
    throw new LowrankError('file', `${path}: cannot be written: ${(cause as Error).message}`, {
      cause,
    })
  }
}
