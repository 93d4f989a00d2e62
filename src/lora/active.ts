// Which adapter a call uses. Forward passes are synchronous, so a choice made for one call cannot
// leak into another stream that is interleaved with it.

import { type Ambient, around, runWithin } from '../core/ambient.ts'
import { LowrankError } from '../core/errors.ts'

/** One adapter or several by name; `null`: none, the base alone; absent: the model's default. */
export type AdapterSelection = string | readonly string[] | null | undefined

const chosen: Ambient<readonly string[]> = {}

/** The names of a selection; throws a `target` error for one that is there twice. */
export function namesOf(selection: AdapterSelection): readonly string[] | undefined {
  if (selection === undefined) {
    return undefined
  }
  if (selection === null) {
    return []
  }
  const names = typeof selection === 'string' ? [selection] : selection
  if (new Set(names).size < names.length) {
    throw new LowrankError('target', `lora: expected each adapter once, got ${names.join(', ')}`)
  }
  return names
}

/** The adapters of the running call, if it named any. */
export function chosenAdapters(): readonly string[] | undefined {
  return around(chosen)
}

/**
 * Runs `fn` with the given adapters in place of each layer's default. A layer without one of them runs
 * without it: which model is meant is not known here, so a name that no layer has is no error, as it is
 * for the `adapter` of a call.
 */
export function withAdapter<T>(selection: AdapterSelection, fn: () => T): T {
  return runWithin(chosen, namesOf(selection) ?? around(chosen), fn)
}

/** The name that means no adapter for a row. */
export const BASE_NAME = '__base__'

const chosenRows: Ambient<readonly string[]> = {}

/** The adapter of each row of the batch, if the running call named one per row. */
export function rowAdapters(): readonly string[] | undefined {
  return around(chosenRows)
}

/** Runs `fn` with one adapter per row of the batch; BASE_NAME is the base alone. */
export function withAdapterNames<T>(names: readonly string[] | undefined, fn: () => T): T {
  return runWithin(chosenRows, names ?? around(chosenRows), fn)
}

/** Runs `fn` with one adapter, BASE_NAME for none, whatever the rows of the batch had. */
export function withOnly<T>(name: string, fn: () => T): T {
  return runWithin(chosenRows, undefined, () => withAdapter(name === BASE_NAME ? null : name, fn))
}
