// Whether a start looks at weights, and if it does, the way by the CPU (on_cpu.ts), fetched only then.

import type { Module } from '../nn/module.ts'
import type { ResolvedConfig } from './config.ts'
import type { Extension } from './extension.ts'

/** Runs `fn` where it can look at weights at once, if the start of the adapter makes it do so. */
export async function whereReadable(
  model: Module,
  { initLoraWeights: init }: Pick<ResolvedConfig, 'initLoraWeights'>,
  extensions: readonly Extension[],
  fn: () => Module,
): Promise<Module> {
  const looks = extensions.some(
    ({ takenFromBase, initialisations = [] }) =>
      takenFromBase && initialisations.some(name => String(init).match(name)?.[0] === init),
  )
  return looks ? (await import('./on_cpu.ts')).onCpu(model, fn) : fn()
}
