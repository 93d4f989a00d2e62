// Golden values: a weight [12, 16] and its singular values, from the PiSSA initialisation of PEFT.

import { readFile } from 'node:fs/promises'
import { parseSafetensors, toFloat64 } from '../../src/io/index.ts'

const PATH = new URL('../golden/linalg/pissa.safetensors', import.meta.url)

export async function goldenTensor(name: string): Promise<Float64Array> {
  const tensor = parseSafetensors(await readFile(PATH)).tensors.get(name)!
  return toFloat64(tensor.bytes, tensor.dtype)
}
