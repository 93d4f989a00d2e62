// Where an adapter comes from, in lowrank.json beside PEFT's two files: the base it was trained over, by
// hash and dtype, and what computed. Nothing needs it to read the adapter; it is there to notice that the
// base at hand is another one.
// The hash of a base is the SHA-256 of one line for each of its weights, by name: name, dtype, shape, and
// the SHA-256 of its little-endian bytes.

import { LowrankError } from '../../core/errors.ts'
import type { Parameter } from '../../core/parameter.ts'
import { formatShape } from '../../core/shape.ts'
import { fromNumbers, storedDType } from '../../io/dtypes.ts'
import { type ByteSource, type Directory, locate, readJson } from '../../io/source.ts'
import type { Module } from '../../nn/module.ts'
import { holdersIn } from '../adapters.ts'
import { VERSION } from '../version.ts'

export const PROVENANCE_FILE = 'lowrank.json'

/** A base as far as a file names it. */
export interface BaseIdentity {
  readonly sha256: string
  /** `float32`, or several, sorted, where weights differ. */
  readonly dtype: string
  readonly parameters: number
}

export interface Provenance {
  /** The version of this library. */
  readonly lowrank: string
  readonly base: BaseIdentity
  /** What computed: `wasm`, `reference`, `webgpu`. */
  readonly backend: string
  /** Whether it computes the same bits everywhere. */
  readonly reproducible: boolean
  readonly seed?: number
}

function hexadecimal(bytes: ArrayBuffer): string {
  return Array.from(new Uint8Array(bytes), byte => byte.toString(16).padStart(2, '0')).join('')
}

async function sha256(bytes: Uint8Array): Promise<string> {
  // Absent in pages that were not served securely.
  const subtle = globalThis.crypto?.subtle
  if (!subtle) {
    throw new LowrankError(
      'backend',
      'lora.baseIdentity: expected crypto.subtle, got none (pages have it over https or on localhost)',
    )
  }
  return hexadecimal(await subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>))
}

/** The weights that are no adapter's, by the names they have without adapters. */
function baseWeights(model: Module): [name: string, parameter: Parameter][] {
  const adapted = new Set(
    holdersIn(model).flatMap(({ holder }) =>
      holder.names().flatMap(name => holder.parametersOf(name).all),
    ),
  )
  return [...model.namedParameters()]
    .filter(([, parameter]) => !adapted.has(parameter))
    .map(([name, parameter]): [string, Parameter] => [
      name.replace(/\b(base_layer|original_module)\./g, ''),
      parameter,
    ])
    .sort(([a], [b]) => (a < b ? -1 : 1))
}

/**
 * The hash, dtype and size of a model's base, whatever adapters are on it. Reads every weight.
 *
 * @example
 * ```ts
 * import { Linear, manualSeed } from 'lowrank'
 * import { attach, baseIdentity } from 'lowrank/lora'
 *
 * const layer = new Linear(4, 4)
 * const { sha256 } = await baseIdentity(layer)
 * console.log(sha256 === (await baseIdentity(attach(layer, { r: 2 }))).sha256) // true
 * ```
 */
export async function baseIdentity(model: Module): Promise<BaseIdentity> {
  const lines: string[] = []
  const dtypes = new Set<string>()
  let parameters = 0
  for (const [name, parameter] of baseWeights(model)) {
    const { dtype, shape, size } = parameter
    // One weight at a time: all bytes of a base need not fit twice.
    const digest = await sha256(fromNumbers(await parameter.data(), storedDType(dtype)))
    lines.push(`${name} ${dtype} ${formatShape(shape)} ${digest}\n`)
    dtypes.add(dtype)
    parameters += size
  }
  const hash = await sha256(new TextEncoder().encode(lines.join('')))
  return { sha256: hash, dtype: [...dtypes].sort().join(', '), parameters }
}

/**
 * Writes lowrank.json beside the two files of an adapter: the base of `model`, what computed, the seed if
 * it is given. One that is there is replaced.
 */
export async function saveProvenance(
  model: Module,
  directory: Directory,
  options: { readonly seed?: number } = {},
): Promise<void> {
  const [first] = model.parameters()
  const { name, reproducible } = first.backend
  const provenance: Provenance = {
    lowrank: VERSION,
    base: await baseIdentity(model),
    backend: name,
    reproducible,
    ...options,
  }
  await directory.write(PROVENANCE_FILE, `${JSON.stringify(provenance, null, 2)}\n`)
}

function isIdentity(value: unknown): value is BaseIdentity {
  const base = value as Partial<BaseIdentity> | null
  return typeof base?.sha256 === 'string' && typeof base.dtype === 'string'
}

/**
 * How the base of `model` differs from the one that the adapter in `source` was trained over, as
 * sentences: none if it is the same, or if there is no lowrank.json. Throws `file` if that is no JSON.
 *
 * @example
 * ```ts
 * import { Linear } from 'lowrank'
 * import { memoryDirectory } from 'lowrank/io'
 * import { attach, baseWarnings, saveAdapter, saveProvenance } from 'lowrank/lora'
 *
 * const files = memoryDirectory()
 * const layer = attach(new Linear(4, 4), { r: 2 })
 * await saveAdapter(layer, files)
 * await saveProvenance(layer, files)
 * console.log((await baseWarnings(new Linear(4, 5), files)).length) // 1
 * ```
 */
export async function baseWarnings(model: Module, source: ByteSource): Promise<string[]> {
  if (!(await source.has(PROVENANCE_FILE))) {
    return []
  }
  const where = locate(source, PROVENANCE_FILE)
  const said = ((await readJson(source, PROVENANCE_FILE)) as { base?: unknown } | null)?.base
  if (!isIdentity(said)) {
    return [`${where}: expected the hash and dtype of a base, got none (it is not checked)`]
  }
  const found = await baseIdentity(model)
  if (found.sha256 === said.sha256) {
    return []
  }
  const name = ({ dtype, parameters, sha256 }: BaseIdentity): string =>
    `${sha256.slice(0, 12)}… (${dtype}, ${parameters} parameters)`
  return [
    `${where}: the adapter was trained over base ${name(said)}, this one is ${name(found)}: ` +
      'answers will differ',
  ]
}
