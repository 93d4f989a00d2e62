// Writes the data of the example into examples/house/data/, the same bytes on every run:
//   train.jsonl           600 commands of the household, {"prompt", "completion"} per line
//   held-out.jsonl        360 others in three equal parts, with "kind"
//   base-held-out.jsonl   320 of the base's own task, with "kind"
//
//   npx tsx examples/house/data.ts

import { mkdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { baseHeldOut } from './base-task.ts'
import { household } from './household.ts'

const SEED = 1
const TRAIN_COUNT = 600
const PART_COUNT = 120
const BASE_COUNT = 320

/** Where the data lies. */
export const DATA_DIRECTORY: string = fileURLToPath(new URL('./data/', import.meta.url))

const lines = (values: readonly object[]): string =>
  values.map(value => `${JSON.stringify(value)}\n`).join('')

/** The files' text by name. */
export function dataFiles(): Record<string, string> {
  const { train, heldOut } = household(SEED, TRAIN_COUNT, PART_COUNT)
  return {
    'train.jsonl': lines(train),
    'held-out.jsonl': lines(heldOut),
    'base-held-out.jsonl': lines(baseHeldOut(SEED, BASE_COUNT)),
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  mkdirSync(DATA_DIRECTORY, { recursive: true })
  for (const [name, text] of Object.entries(dataFiles())) {
    writeFileSync(DATA_DIRECTORY + name, text)
  }
}
