// A claim of the paper, what was measured about it, and what that says.

export type Verdict = 'holds' | 'does not hold at this size' | 'cannot be checked on a CPU'

export interface Picture {
  /** Name of the file, without its ending. */
  readonly name: string
  readonly label: string
  readonly svg: string
}

export interface Claim {
  readonly title: string
  /** What the paper says, and where. */
  readonly says: string
  readonly verdict: Verdict
  /** Why the verdict is what it is: the rule that was applied. */
  readonly because: string
  /** Rows of a Markdown table, the first its head. */
  readonly table: readonly (readonly (string | number)[])[]
  readonly picture?: Picture
}

export const mean = (values: readonly number[]): number =>
  values.reduce((a, b) => a + b, 0) / values.length

/** The standard error of the mean; 0 for a single value. */
export function standardError(values: readonly number[]): number {
  const m = mean(values)
  const squares = values.reduce((sum, value) => sum + (value - m) ** 2, 0)
  return values.length < 2 ? 0 : Math.sqrt(squares / (values.length - 1) / values.length)
}

/** Mean ± standard error. */
export function summary(values: readonly number[]): string {
  return `${mean(values).toFixed(3)} ± ${standardError(values).toFixed(3)}`
}

export function verdictOf(holds: boolean): Verdict {
  return holds ? 'holds' : 'does not hold at this size'
}
