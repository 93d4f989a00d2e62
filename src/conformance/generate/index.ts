// The kinds of the family generate.

import type { CaseKind } from '../kind.ts'
import { greedy } from './greedy.ts'
import { processors } from './processors.ts'

export const generateKinds: Readonly<Record<string, CaseKind>> = {
  'generate/greedy': greedy,
  'generate/processors': processors,
}
