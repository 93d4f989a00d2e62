// Cases of the family init.

import type { CaseKind } from '../kind.ts'
import { compareConversion, runConversion } from './conversion.ts'
import { compareEva, runEva } from './eva.ts'
import { compareRefused, runRefused } from './refused.ts'
import { compareStart, runStart } from './start.ts'

const start: CaseKind = { run: runStart, compare: compareStart }

export const initKinds: Readonly<Record<string, CaseKind>> = {
  'init/linear': start,
  'init/conv1d': start,
  'init/conv2d': start,
  'init/embedding': start,
  'init/eva': { run: runEva, compare: compareEva },
  'init/conversion': { run: runConversion, compare: compareConversion },
  'init/refused': { run: runRefused, compare: compareRefused },
}
