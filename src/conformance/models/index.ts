// The kinds of the family models.

import type { CaseKind } from '../kind.ts'
import { compare, outputs } from './compare.ts'
import { run } from './model.ts'

export const modelKinds: Readonly<Record<string, CaseKind>> = {
  'models/model': {
    run,
    compare,
    outputs,
    question: ({ loss: _, losses: __, ...json }) => json,
  },
}
