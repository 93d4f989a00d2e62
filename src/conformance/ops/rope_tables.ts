// Rotary frequencies of the family ops: f(i) [head_dim / 2] and the factor of cos and sin, for each
// configuration of the case.

import { readRopeConfig, ropeFrequencies } from '../../nn/rope_tables.ts'
import type { Case, CaseJson } from '../case.ts'
import { type Answered, type Check, compareTensor } from '../compare.ts'
import { type Answer, type CaseKind, stored, toleranceOf } from '../kind.ts'
import { compareNumber } from '../numbers.ts'

/** A logarithm and a few products, in float64. */
const ROUNDINGS = 1e-14

function run(example: Case): Answer {
  const tensors: Record<string, Answered> = {}
  const json: Record<string, number> = {}
  for (const [name, table] of Object.entries<CaseJson>(example.json.tables)) {
    const config = readRopeConfig('case', table, table.head_dim)
    const data = ropeFrequencies(config)
    tensors[name] = { shape: [data.length], data }
    json[name] = config.attentionFactor
  }
  return { tensors, json }
}

function compare(example: Case, answer: Answer): Check[] {
  // The tables are float32, whatever computes them.
  const tolerance = toleranceOf(example, 32)
  return Object.entries<CaseJson>(example.json.tables).flatMap(([name, table]) => [
    compareTensor(name, answer.tensors[name], stored(example, name), tolerance),
    compareNumber(
      `${name}: attention_scaling`,
      answer.json?.[name],
      table.attention_scaling,
      ROUNDINGS,
    ),
  ])
}

function withoutScaling(tables: CaseJson): unknown {
  const names = Object.keys(tables)
  return Object.fromEntries(
    names.map(name => {
      const { attention_scaling: _, ...table } = tables[name]
      return [name, table]
    }),
  )
}

export const ropeTables: CaseKind = {
  run,
  compare,
  outputs: ({ json }) => Object.keys(json.tables),
  question: json => ({ ...json, tables: withoutScaling(json.tables) }),
}
