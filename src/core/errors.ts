// One error class for the whole library. A message reads `where: what was expected, what was got
// (what to do)`; the code is what programs branch on.

/** What went wrong, for programs: every `LowrankError` carries one of these. */
export const ERROR_CODES = [
  'shape', // sizes that do not fit together
  'dtype', // an element type the operation does not take
  'argument', // an option or value out of its range
  'scope', // a tensor used after the scope that owned it, or a step used wrongly
  'backend', // a backend that is absent, refused, mixed up, or lacks a kernel
  'memory', // more memory than there is
  'numeric', // NaN or infinity where a finite number is needed
  'file', // a file that is missing, damaged, or in the way
  'config', // a model or adapter configuration that cannot be used
  'target', // LoRA targets that match nothing or the wrong thing
  'data', // training data that cannot be used
  'aborted', // the caller's signal fired
] as const

export type ErrorCode = (typeof ERROR_CODES)[number]

/**
 * The one error class that this library throws on purpose.
 *
 * @example
 * ```ts
 * import { LowrankError } from 'lowrank'
 *
 * const error = new LowrankError('shape', 'matmul: inner sizes differ: 3 and 4')
 * console.log(error.code) // shape
 * ```
 */
export class LowrankError extends Error {
  override readonly name: string = 'LowrankError'
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** Throws an `argument` error for a word that an option does not know. */
export function checkChoice(where: string, value: string, choices: readonly string[]): void {
  if (!choices.includes(value)) {
    throw new LowrankError('argument', `${where}: expected ${choices.join(' or ')}, got ${value}`)
  }
}

/** Throws one error for all problems of one kind: the first line says where and how many. */
export function throwAll(code: ErrorCode, where: string, problems: readonly string[]): void {
  if (problems.length === 1) {
    throw new LowrankError(code, `${where}: ${problems[0]}`)
  }
  if (problems.length > 1) {
    const lines = problems.map(problem => `  - ${problem}`)
    throw new LowrankError(code, `${where}: ${problems.length} problems\n${lines.join('\n')}`)
  }
}
