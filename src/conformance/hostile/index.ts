// The kinds of the family hostile: lists of files, one case per line.

import type { CaseKind } from '../kind.ts'
import { adapters } from './adapters.ts'
import { safetensors } from './safetensors.ts'

export const hostileKinds: Readonly<Record<string, CaseKind>> = {
  'hostile/adapters': adapters,
  'hostile/safetensors': safetensors,
}
