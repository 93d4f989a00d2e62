// `layersToTransform` and `layersPattern`: of the layers that a list of targets means, those in certain
// blocks of the model. A block's number follows the name of a list of modules: `layers.7.` (PEFT 0.21,
// `check_target_module_exists`).

import type { ResolvedConfig } from '../config.ts'
import { isFlag, isNames } from '../config.ts'
import type { Extension } from '../extension.ts'
import { compilePattern } from '../targets.ts'

/** The options that choose blocks. */
export interface LayersConfig {
  /** The numbers of the blocks that are meant; all if absent. */
  readonly layersToTransform?: number | readonly number[]
  /** The names of the lists of blocks; any if absent. */
  readonly layersPattern?: string | readonly string[]
}

function isBlock(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) >= 0
}

/** The number of the block that a path is in. */
function blockOf(path: string, { layersPattern = [] }: LayersConfig): number | undefined {
  const names = [layersPattern].flat()
  const patterns = names.length > 0 ? names : ['[^.]*']
  for (const name of patterns) {
    const match = compilePattern('layersPattern', `.*\\.${name}\\.(\\d+)\\..*`).exec(path)
    if (match) {
      return Number(match.at(-1))
    }
  }
  return undefined
}

function selects(path: string, config: ResolvedConfig): boolean {
  const numbers = [config.layersToTransform ?? []].flat()
  const block = blockOf(path, config)
  return numbers.length === 0 || (block !== undefined && numbers.includes(block))
}

export const layers: Extension = {
  name: 'layers',
  options: {
    layersToTransform: (value, { targetModules }) => {
      if (![value].flat().every(isBlock)) {
        return 'a whole number from 0 up, or a list of them'
      }
      const isPattern = typeof targetModules === 'string' && targetModules !== 'all-linear'
      return isPattern ? 'none beside a pattern for targetModules' : undefined
    },
    layersPattern: (value, config, extensions) =>
      config.layersToTransform === undefined
        ? 'none without layersToTransform'
        : isNames(value, config, extensions),
    fanInFanOut: isFlag,
  },
  selects,
}
