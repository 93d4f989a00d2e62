// A module that stands in the place of another and holds what adapters have there.

import type { DType } from '../core/dtype.ts'
import type { Parameter } from '../core/parameter.ts'
import { Module } from '../nn/module.ts'

/** What becomes of adapters that are taken off for good. */
export interface Unloading {
  /** The dtype of what they leave; that of what it replaces if absent. */
  readonly dtype: DType | undefined
  /** What was made of which parameters, so that what modules share stays shared. */
  readonly made: { readonly from: readonly Parameter[]; readonly to: Parameter }[]
}

/** The parameter that is made of others, one for all who make it of the same. */
export function madeOnce(
  { made }: Unloading,
  from: readonly Parameter[],
  make: () => Parameter,
): Parameter {
  const known = made.find(one => one.from.every((parameter, i) => parameter === from[i]))
  const to = known?.to ?? make()
  made.push({ from, to })
  return to
}

export abstract class Holder extends Module {
  /** The adapters a call uses unless it names others. */
  active: readonly string[] = []
  /** Whether two of its adapters cannot act at once, so that only one may be the default. */
  readonly exclusive: boolean = false
  /** The module in whose place it stands. */
  abstract readonly inner: Module
  /** The names of the adapters that have something here. */
  abstract names(): string[]
  /** What one of them has in PEFT's file, by names below the path of this module. */
  abstract entries(name: string): [key: string, Parameter][]
  /** Every parameter of one of them; those that training changes. */
  abstract parametersOf(name: string): { readonly all: Parameter[]; readonly trained: Parameter[] }
  /** Every parameter of all adapters. */
  held(): Parameter[] {
    return this.names().flatMap(name => this.parametersOf(name).all)
  }
  /** Goes back to the adapters from what was computed of them in advance. */
  unmerge(): void {}
  /** Forgets an adapter; its parameters are the caller's to dispose of. */
  abstract remove(name: string): void
  /** Runs `fn` with what some adapters, or the active ones, put in the place of the module's own. */
  during?<T>(names: readonly string[] | undefined, fn: () => T): T
  /**
   * The ordinary module with what an adapter has here for good, if there is more to it than a merged
   * layer. There is no other holder inside any more.
   */
  unloaded?(name: string | undefined, unloading: Unloading): Module
}
