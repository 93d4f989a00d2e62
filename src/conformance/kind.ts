// A kind of case: how this library answers it, and how any answer is compared. The two are apart, so
// that another implementation's answer is judged by the very same rules.

import type { Backend } from '../core/backend.ts'
import type { Tensor } from '../core/tensor.ts'
import type { Case, CaseJson, CaseTensor } from './case.ts'
import { type Answered, type Check, compareTensor } from './compare.ts'

/** What an implementation gives for a case: outputs under the names they are stored by. */
export interface Answer {
  readonly tensors: Readonly<Record<string, Answered | undefined>>
  /** What is no tensor: an outcome, a list of rates. */
  readonly json?: Readonly<Record<string, unknown>>
  /** What is files, by their names. */
  readonly files?: Readonly<Record<string, Uint8Array>>
  /** Which tolerance applies, where it is not the implementation's. */
  readonly precision?: 32 | 64
}

export interface CaseKind {
  /** The library's answer. Tensors made here belong to `backend`, which is the current one. */
  run(example: Case, backend: Backend): Answer | Promise<Answer>
  /** The comparison; every stored output with the case's tolerance if absent. */
  compare?(example: Case, answer: Answer, precision: 32 | 64): Check[] | Promise<Check[]>
  /** The tensors that are answers; those that the JSON lists if absent. */
  outputs?(example: Case): readonly string[] | Promise<readonly string[]>
  /** Which stored tensors other programs are given; those that are no outputs if absent. */
  inputs?(example: Case): readonly string[]
  /** The case's JSON without the answers in it, for other programs; whole if absent. */
  question?(json: CaseJson, example: Case): unknown
}

/** A stored tensor of the case; its absence is an error of the case. */
export function stored(example: Case, name: string): CaseTensor {
  const found = example.tensors.get(name)
  if (!found) {
    throw new Error(`${example.name}: expected a tensor "${name}", got none`)
  }
  return found
}

/** The names of the outputs that the case lists. */
export function outputsOf({ json }: Case): string[] {
  const { outputs } = json
  return Array.isArray(outputs) ? outputs : Object.keys(outputs ?? {})
}

/** `tolerance.f64` or `tolerance.f32` of the case; its absence is an error of the case. */
export function toleranceOf({ name, json }: Case, precision: 32 | 64): number {
  const found = json.tolerance?.[`f${precision}`]
  if (typeof found !== 'number') {
    throw new Error(`${name}: expected tolerance.f${precision}, got none`)
  }
  return found
}

/** Compares every output that the case lists; none at all is a failure, not a success. */
export function compareOutputs(example: Case, answer: Answer, precision: 32 | 64): Check[] {
  const tolerance = toleranceOf(example, precision)
  return outputsOf(example).map(name =>
    compareTensor(name, answer.tensors[name], stored(example, name), tolerance),
  )
}

/** Shape and elements of a tensor, read without blocking where the backend cannot. */
export async function answered(x: Tensor | undefined): Promise<Answered | undefined> {
  return x && { shape: x.shape, data: await x.data() }
}

/** The same for all tensors of a record. */
export async function allAnswered(
  tensors: Readonly<Record<string, Tensor | undefined>>,
): Promise<Record<string, Answered | undefined>> {
  const result: Record<string, Answered | undefined> = {}
  for (const [name, x] of Object.entries(tensors)) {
    result[name] = await answered(x)
  }
  return result
}
