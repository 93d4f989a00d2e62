// Every adapter that PEFT wrote for a model of a family that exists here, read and written again: the
// same bytes, and a configuration that is equal as JSON but for the order of names.

import { memoryDirectory } from 'lowrank/io'
import { saveAdapter } from 'lowrank/lora'
import { MODEL_TYPES } from 'lowrank/models/auto'
import { describe, expect, it } from 'vitest'
import { opened } from '../../src/conformance/models/model.ts'
import { familyCases } from '../support/conformance.ts'

type Config = Record<string, unknown>

const text = (bytes: Uint8Array): Config => JSON.parse(Buffer.from(bytes).toString())

const cases = await familyCases('models')
const types = await Promise.all(
  cases.map(async ({ files }) => text(await files.read('base/config.json')).model_type as string),
)
const known = cases.filter((_, i) => types[i] in MODEL_TYPES)

/** Lists that are sets in PEFT, in one order. */
function ordered(config: Config): Config {
  const sets = ['target_modules', 'exclude_modules', 'modules_to_save']
  return Object.fromEntries(
    Object.entries(config).map(([key, value]) => {
      return [key, sets.includes(key) && Array.isArray(value) ? [...value].sort() : value]
    }),
  )
}

describe('an adapter of PEFT', () => {
  it.each(known.map(example => [example.name, example] as const))('%s', async (_, example) => {
    const { files } = example
    const model = await opened(example, 'adapter')
    const want = text(await files.read('adapter/adapter_config.json'))
    const out = memoryDirectory()
    await saveAdapter(model, out, { baseModelNameOrPath: want.base_model_name_or_path as string })
    const got = Buffer.from(await out.read('adapter_model.safetensors'))
    expect(got.equals(await files.read('adapter/adapter_model.safetensors'))).toBe(true)
    expect(ordered(text(await out.read('adapter_config.json')))).toEqual(ordered(want))
    model.dispose()
  })
})
