// A fault whose place has moved is planted nowhere, and proves nothing. Every change of the code is held
// against the lists here; whether the faults are caught is what the slow tests of this folder ask.

import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { FAULTS } from './faults.ts'
import { KERNEL_FAULTS } from './kernel_faults.ts'

/** How often `find` stands in the file, a path from the root of the project. */
function occurrences(file: string, find: string): number {
  return readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8').split(find).length - 1
}

describe('a fault to plant', () => {
  it.each(FAULTS)('stands once in its file: $name', ({ file, find }) => {
    expect(occurrences(file, find), `"${find}" in ${file}`).toBe(1)
  })

  it.each(FAULTS)('is caught by a test file that is there: $name', ({ testFile }) => {
    expect(() => occurrences(testFile, '')).not.toThrow()
  })

  it.each(KERNEL_FAULTS)('stands in its kernel: $name', ({ file, from }) => {
    expect(occurrences(`assembly/${file}`, from), `"${from}" in assembly/${file}`).toBeGreaterThan(
      0,
    )
  })
})
