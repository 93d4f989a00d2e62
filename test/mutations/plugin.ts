// Plants one fault of the list while the tests load the code: no file is changed. LOWRANK_FAULT names it.

import type { Plugin } from 'vitest/config'
import { FAULTS } from './faults.ts'

/** The code with its only occurrence of `find` replaced; throws if there is none, or another. */
function planted(code: string, file: string, find: string, replace: string): string {
  const parts = code.split(find)
  if (parts.length !== 2) {
    throw new Error(`${file}: expected "${find}" once, found it ${parts.length - 1} times`)
  }
  return parts.join(replace)
}

/** The plugin that plants the named fault; none if no name is given. */
export function plantedFault(name: string | undefined): Plugin[] {
  if (name === undefined) {
    return []
  }
  const fault = FAULTS.find(known => known.name === name)
  if (!fault) {
    throw new Error(`there is no fault "${name}" in the list`)
  }
  const { file, find, replace } = fault
  return [
    {
      name: 'planted-fault',
      enforce: 'pre',
      transform: (code, id) =>
        id.split('?')[0].endsWith(`/${file}`) ? planted(code, file, find, replace) : undefined,
    },
  ]
}
