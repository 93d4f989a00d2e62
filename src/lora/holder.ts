// A module that stands in the place of another and holds what adapters have there.

import type { Parameter } from '../core/parameter.ts'
import { Module } from '../nn/module.ts'

export abstract class Holder extends Module {
  /** The adapters a call uses unless it names others. */
  active: readonly string[] = []
  /** Whether two of its adapters cannot act at once, so that only one may be the default. */
  readonly exclusive: boolean = false
  /** The names of the adapters that have something here. */
  abstract names(): string[]
  /** What one of them has in PEFT's file, by names below the path of this module. */
  abstract entries(name: string): [key: string, Parameter][]
  /** Every parameter of one of them; those that training changes. */
  abstract parametersOf(name: string): { readonly all: Parameter[]; readonly trained: Parameter[] }
  /** Goes back to the adapters from what was computed of them in advance. */
  unmerge(): void {}
  /** Forgets an adapter; its parameters are the caller's to dispose of. */
  abstract remove(name: string): void
  /**
   * The ordinary module with what an adapter has here for good, if there is more to it than a merged
   * layer. `weights` keeps what modules share shared.
   */
  unloaded?(name: string | undefined, weights: Map<Parameter, Parameter>): Module
}
