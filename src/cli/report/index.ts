// The report of a run: measured, laid out, and written as a whole.

import { basename, dirname } from 'node:path'
import { directory } from '../../node/index.ts'
import { measure, type ReportInput } from './data.ts'
import { reportPage } from './page.ts'

export type { ReportData, ReportInput } from './data.ts'

/** Writes one self-contained HTML file; one that is there is replaced. */
export async function writeReport(path: string, input: ReportInput): Promise<void> {
  const page = reportPage(await measure(input))
  await directory(dirname(path)).write(basename(path), page)
}
