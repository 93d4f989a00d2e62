// Files of the family hostile that a reader of safetensors accepts, with these tensors and this
// metadata, or refuses.

import { parseSafetensors } from '../../io/index.ts'
import type { Case } from '../case.ts'
import { type Check, checkEqual } from '../compare.ts'
import type { Answer, CaseKind } from '../kind.ts'

const hex = (bytes: Uint8Array): string =>
  Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join('')

function accepted(file: Uint8Array): Answer['json'] {
  const { tensors, metadata } = parseSafetensors(file)
  const found = [...tensors].map(([name, { dtype, shape, bytes }]) => {
    return [name, { dtype, shape, bytes: hex(bytes) }] as const
  })
  return {
    outcome: 'accepts',
    tensors: Object.fromEntries(found),
    metadata: metadata ? Object.fromEntries(metadata) : null,
  }
}

async function run({ json, files }: Case): Promise<Answer> {
  const file = await files.read(json.file)
  try {
    return { tensors: {}, json: accepted(file) }
  } catch (error) {
    return { tensors: {}, json: { outcome: 'raises', message: `${error}` } }
  }
}

function compare({ json }: Case, { json: got }: Answer): Check[] {
  const checks = [checkEqual('outcome', got?.outcome, json.outcome)]
  if (json.outcome === 'accepts') {
    checks.push(checkEqual('tensors', got?.tensors, json.tensors))
    checks.push(checkEqual('metadata', got?.metadata, json.metadata))
  }
  return checks
}

export const safetensors: CaseKind = {
  run,
  compare,
  question: ({ file, size }) => ({ file, size }),
}
