// Adapters that PEFT made with options beside low-rank updates (test/golden/options, by make.py there):
// the same logits, alone and merged, and the same files when written again.

import { readdirSync, readFileSync } from 'node:fs'
import { setBackend, tensor } from 'lowrank'
import { memoryDirectory } from 'lowrank/io'
import { load, mergeAndUnload, saveAdapter } from 'lowrank/lora'
import { loadModel } from 'lowrank/models/auto'
import { directory } from 'lowrank/node'
import { afterEach, describe, expect, it } from 'vitest'
import { backends } from '../support/backends.ts'
import { scaledError } from '../support/fixture.ts'

const golden = new URL('../golden/options/', import.meta.url)
const names = readdirSync(golden).filter(name => !/^base|\.py$/.test(name))

const IDS = [3, 7, 1, 9, 5, 7, 2, 11, 0, 4]

/** Two layers of width 16 in float32, here and in PEFT; measured: 1.4e-6. */
const TOLERANCE = 1e-5

const read = (path: string): Buffer => readFileSync(new URL(path, golden))

function ordered(config: Record<string, unknown>): unknown {
  return Object.fromEntries(
    Object.entries(config).map(([key, value]) => {
      const isSet = key === 'target_modules' || key === 'modules_to_save'
      return [key, isSet && Array.isArray(value) ? [...value].sort() : value]
    }),
  )
}

afterEach(() => setBackend(undefined))

describe.each(backends)('options of PEFT on $name', ({ make }) => {
  it.each(names)('%s', async name => {
    setBackend(make())
    const { base, logits } = JSON.parse(read(`${name}/logits.json`).toString())
    const model = await loadModel(directory(new URL(`${base}/`, golden)))
    await load(model, directory(new URL(`${name}/`, golden)))
    const ids = tensor(IDS, [2, 5], { dtype: 'int32' })
    expect(scaledError(model.forward(ids).dataSync(), logits)).toBeLessThanOrEqual(TOLERANCE)
    const out = memoryDirectory()
    await saveAdapter(model, out, { baseModelNameOrPath: 'base' })
    const bytes = Buffer.from(await out.read('adapter_model.safetensors'))
    expect(bytes.equals(read(`${name}/adapter_model.safetensors`))).toBe(true)
    const config = JSON.parse(Buffer.from(await out.read('adapter_config.json')).toString())
    const want = JSON.parse(read(`${name}/adapter_config.json`).toString())
    expect(ordered(config)).toEqual(ordered(want))
    mergeAndUnload(model)
    expect(scaledError(model.forward(ids).dataSync(), logits)).toBeLessThanOrEqual(TOLERANCE)
    model.dispose()
  })
})
