// `lowrank merge`: folds an adapter into its base and writes an ordinary model directory.

import { mergeAndUnload } from '../lora/index.ts'
import { saveModel } from '../models/save.ts'
import { directory } from '../node/index.ts'
import { openModel } from './files.ts'
import type { Output } from './output.ts'

export interface MergeArguments {
  readonly model: string
  readonly adapter: string
  readonly out: string
  readonly dtype: 'float32' | 'float16' | 'bfloat16'
  readonly overwrite: boolean
}

export async function runMerge(args: MergeArguments, output: Output): Promise<void> {
  const { overwrite, dtype } = args
  const target = directory(args.out)
  await target.checkWritable({ overwrite })
  const { model } = await openModel(args.model, args.adapter, output)
  mergeAndUnload(model, { dtype })
  await saveModel(model, target, { overwrite, dtype, source: directory(args.model) })
  output.event('merged', { model: args.out })
  output.text(`Merged model: ${args.out}`)
}
