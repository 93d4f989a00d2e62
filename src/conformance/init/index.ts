// Cases of the family init.

import type { Case, CaseJson } from '../case.ts'
import type { CaseKind } from '../kind.ts'
import { compareConversion, runConversion } from './conversion.ts'
import { compareEva, runEva } from './eva.ts'
import { combinationOf, compareRefused, runRefused } from './refused.ts'
import { compareStart, runStart, startOutputs, startQuestion } from './start.ts'

/** The stored tensors that are compared, by their names. */
function named(pattern: RegExp): (example: Case) => string[] {
  return ({ tensors }) => [...tensors.keys()].filter(name => pattern.test(name))
}

function withoutRanks({
  ranks: _,
  rank_pattern: __,
  alpha_pattern: ___,
  ...json
}: CaseJson): unknown {
  return { ...json, scaling: undefined, target_modules: undefined }
}

const start: CaseKind = {
  run: runStart,
  compare: compareStart,
  outputs: startOutputs,
  // Beside the weight, PEFT's own A, B and what it makes of the base are stored.
  inputs: () => ['base.weight'],
  question: startQuestion,
}

export const initKinds: Readonly<Record<string, CaseKind>> = {
  'init/linear': start,
  'init/conv1d': start,
  'init/conv2d': start,
  'init/embedding': start,
  'init/eva': {
    run: runEva,
    compare: compareEva,
    outputs: named(/\.lora_A$/),
    inputs: named(/\.\d+$/),
    question: withoutRanks,
  },
  'init/conversion': {
    run: runConversion,
    compare: compareConversion,
    outputs: named(/^(saved|effective)\./),
    inputs: named(/^(start|trained)\.|^base\.weight$/),
    question: ({ saved_config: _, ...json }) => json,
  },
  'init/refused': {
    run: runRefused,
    compare: compareRefused,
    question: ({ rows, ...json }) => ({ ...json, rows: rows.map(combinationOf) }),
  },
}
