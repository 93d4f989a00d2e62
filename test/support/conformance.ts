// A family of stored cases as a suite: every case on every backend, by the rules that `lowrank verify`
// applies.

import { readdirSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import {
  type Case,
  casePlaces,
  checkCase,
  library,
  passes,
  readPlace,
} from '../../src/conformance/index.ts'
import { directory } from '../../src/node/index.ts'
import { backends } from './backends.ts'

const golden = new URL('../golden/', import.meta.url)

/** The families that are made from their definitions. */
export const own: URL = new URL('../../conformance/', import.meta.url)

/** The cases of a family, by default a golden one; a family without any is an error. */
export async function familyCases(family: string, home: URL = golden): Promise<Case[]> {
  const root = directory(home)
  const paths = readdirSync(new URL(`${family}/`, home), { recursive: true, encoding: 'utf8' })
  const names = paths.map(path => `${family}/${path}`)
  const cases: Case[] = []
  for (const place of casePlaces(names)) {
    cases.push(...(await readPlace(root, place)))
  }
  if (cases.length === 0) {
    throw new Error(`no cases in ${family}`)
  }
  return cases
}

/** One test per case and backend; `filter` leaves out what a backend or the library lacks. */
export async function describeFamily(
  family: string,
  filter: (example: Case) => boolean = () => true,
  home: URL = golden,
): Promise<void> {
  const cases = (await familyCases(family, home)).filter(filter)
  const origin = home === golden ? 'golden' : 'defined'
  describe.each(backends)(`${origin} cases of ${family} on $name`, ({ make }) => {
    it.each(cases.map(example => [example.name, example] as const))('%s', async (_, example) => {
      const checks = await checkCase(example, library(make()))
      expect(checks.length).toBeGreaterThan(0)
      expect(checks.filter(check => !passes(check))).toEqual([])
    })
  })
}
