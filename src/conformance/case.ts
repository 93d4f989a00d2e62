// A conformance case as it is stored: FAMILY/NAME.json beside FAMILY/NAME.safetensors, or a folder
// FAMILY/NAME/ with case.json and data.safetensors, or one line of FAMILY/NAME.jsonl.

import {
  type ByteSource,
  parseSafetensors,
  type StoredDType,
  toFloat32,
  toFloat64,
  toInt32,
} from '../io/index.ts'

/** The elements of a tensor: F64 as float64, other floats as float32, integers as int32. */
export type CaseData = Float64Array | Float32Array | Int32Array

/** A tensor of a case. */
export interface CaseTensor {
  readonly dtype: StoredDType
  readonly shape: readonly number[]
  readonly data: CaseData
}

export type CaseTensors = ReadonlyMap<string, CaseTensor>

/** What FAMILY/NAME.json holds: each family has fields of its own. */
// biome-ignore lint/suspicious/noExplicitAny: checked by what runs the case
export type CaseJson = any

/** One case: what a runner is given. */
export interface Case {
  /** `layers/dora_fresh`, `hostile/safetensors/empty`. */
  readonly name: string
  readonly family: string
  /** What a runner is chosen by: `layers/linear`, `hostile/safetensors`. */
  readonly kind: string
  readonly json: CaseJson
  /** The tensors beside the JSON; none where there is no such file. */
  readonly tensors: CaseTensors
  /** The files beside the JSON: of the case's folder, else of the family. */
  readonly files: ByteSource
  /** The files of all families, for cases that point to another. */
  readonly root: ByteSource
}

function dataOf(bytes: Uint8Array, dtype: StoredDType): CaseData {
  if (dtype === 'F64') {
    return toFloat64(bytes, dtype)
  }
  return /^[IU]\d+$|^BOOL$/.test(dtype) ? toInt32(bytes, dtype) : toFloat32(bytes, dtype)
}

/** All tensors of a safetensors file. */
export async function readTensors(source: ByteSource, file: string): Promise<CaseTensors> {
  const { tensors } = parseSafetensors(await source.read(file), `${source.label}/${file}`)
  const entries = [...tensors].map(([name, { dtype, shape, bytes }]) => {
    return [name, { dtype, shape, data: dataOf(bytes, dtype) }] as const
  })
  return new Map(entries)
}

/** The files below one folder of a source, as a source of their own. */
export function folderOf(source: ByteSource, folder: string): ByteSource {
  const at = (name: string): string => `${folder}/${name}`
  return {
    label: `${source.label}/${folder}`,
    has: name => source.has(at(name)),
    size: name => source.size(at(name)),
    read: (name, start, end) => source.read(at(name), start, end),
    list: async () => {
      const inside = (await source.list()).filter(name => name.startsWith(`${folder}/`))
      return inside.map(name => name.slice(folder.length + 1))
    },
  }
}
