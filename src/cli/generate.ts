// `lowrank generate`: continues a prompt and prints the text as it comes.

import { generate } from '../train/index.ts'
import { openModel } from './files.ts'
import type { Output } from './output.ts'

export interface GenerateArguments {
  readonly model: string
  readonly adapter?: string
  readonly prompt: string
  readonly maxNewTokens: number
  readonly temperature: number
  readonly topK?: number
  readonly topP?: number
  readonly repetitionPenalty: number
  readonly seed: number
}

export async function runGenerate(args: GenerateArguments, output: Output): Promise<void> {
  const { model: path, adapter, prompt, ...options } = args
  const { model, tokenizer } = await openModel(path, adapter, output)
  let text = ''
  for await (const piece of generate(model, tokenizer, prompt, options)) {
    text += piece
    if (!output.json) {
      process.stdout.write(piece)
    }
  }
  output.text('')
  output.event('text', { prompt, text })
}
