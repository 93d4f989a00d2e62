// What the suite says, and what a runtime is to the harness.

import type { Project } from './project.ts'

/** What suite.mjs returns. */
export interface SuiteResult {
  readonly adapter: string
  readonly config: string
  readonly losses: readonly number[]
  readonly words: readonly number[]
  readonly loadedSpeaksTheSame: boolean
  readonly linear: readonly number[]
  readonly errors: Readonly<Record<string, string>>
  readonly backend: string
  readonly reproducible: boolean
  /** Rows that workers computed, where there were threads. */
  readonly workerRows?: number
}

/** One row of the matrix. */
export interface Runtime {
  readonly name: string
  /** Why it cannot run here, if it cannot. */
  readonly absent: string | undefined
  run(project: Project): Promise<SuiteResult>
}

/** The result, or the error that the suite ran into. */
export function parsed(text: string): SuiteResult {
  const result = JSON.parse(text) as SuiteResult & { error?: string }
  if (result.error) {
    throw new Error(result.error)
  }
  return result
}
