// Numbers in the JSON of an answer. JSON has none for NaN and infinities: they are the strings "NaN",
// "Infinity" and "-Infinity", and null, which JavaScript writes, is NaN.

import { type Check, compareTensor, relativeError } from './compare.ts'

const NOT_FINITE: readonly unknown[] = ['NaN', 'Infinity', '-Infinity']

/** A number in the JSON of an answer, which has none for NaN and infinities; undefined if it is none. */
function numberIn(value: unknown): number | undefined {
  if (value === null) {
    return Number.NaN
  }
  return typeof value === 'number' || NOT_FINITE.includes(value) ? Number(value) : undefined
}

/** A list of numbers in the JSON of an answer; undefined if it is none. */
export function numbersIn(value: unknown): number[] | undefined {
  const numbers = Array.isArray(value) ? value.map(numberIn) : [undefined]
  return numbers.includes(undefined) ? undefined : (numbers as number[])
}

/** Compares a list of numbers in the JSON of an answer, which may be anything. */
export function compareNumbers(
  what: string,
  got: unknown,
  want: readonly number[],
  tolerance: number,
): Check {
  const data = numbersIn(got)
  if (!data) {
    const note = `expected a list of ${want.length} numbers, got ${shown(got)}`
    return { what, error: Number.POSITIVE_INFINITY, tolerance, note }
  }
  const answer = { shape: [data.length], data }
  const stored = { dtype: 'F64', shape: [want.length], data: Float64Array.from(want) } as const
  return compareTensor(what, answer, stored, tolerance)
}

const SHOWN = 80

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'none'
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text
}

/** A check of one number in the JSON of an answer, by its relative error. */
export function compareNumber(what: string, got: unknown, want: number, tolerance: number): Check {
  const error = relativeError(numberIn(got ?? undefined) ?? Number.NaN, want)
  return error <= tolerance
    ? { what, error, tolerance }
    : { what, error, tolerance, note: `expected ${want}, got ${shown(got)}` }
}
