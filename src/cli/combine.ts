// `lowrank combine`: several adapters of one base as one.

import { type CombineOptions, combineFiles } from '../lora/index.ts'
import { directory } from '../node/index.ts'
import type { Output } from './output.ts'

export interface CombineArguments {
  readonly adapters: readonly string[]
  readonly out: string
  readonly type: NonNullable<CombineOptions['combinationType']>
  readonly weights?: readonly number[]
  readonly svdRank?: number
  readonly density?: number
  readonly majoritySignMethod: 'total' | 'frequency'
  readonly seed: number
  readonly peftRsloraScale: boolean
  readonly overwrite: boolean
}

export async function runCombine(args: CombineArguments, output: Output): Promise<void> {
  const { adapters, out, type, ...options } = args
  const sources = adapters.map(path => directory(path))
  await combineFiles(sources, directory(out), { ...options, combinationType: type })
  output.event('combined', { adapters, type, out })
  output.text(`Combined ${adapters.length} adapters (${type}): ${out}`)
}
