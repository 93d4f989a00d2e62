// lowrank.json: the same base is recognised under any adapter, another one is named.

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Linear, Module, manualSeed, memory, type Parameter, type Tensor } from 'lowrank'
import { memoryDirectory, readJson } from 'lowrank/io'
import {
  attach,
  baseIdentity,
  baseWarnings,
  load,
  merge,
  saveAdapter,
  saveProvenance,
} from 'lowrank/lora'
import { describe, expect, it } from 'vitest'
import { VERSION } from '../../../src/lora/version.ts'
import { tinyLlama } from '../../support/models.ts'

function llama() {
  manualSeed(5)
  return tinyLlama()
}

async function saved() {
  const model = attach(llama(), { r: 2 })
  const files = memoryDirectory()
  await saveAdapter(model, files)
  await saveProvenance(model, files, { seed: 5 })
  return { model, files }
}

describe('provenance', () => {
  it('has the version of the package', () => {
    const { version } = JSON.parse(readFileSync('package.json', 'utf8'))
    expect(VERSION).toBe(version)
  })

  it('says base, backend, seed and version, and leaves the two files alone', async () => {
    const { files } = await saved()
    const { backend, reproducible } = memory()
    const plain = memoryDirectory()
    await saveAdapter(attach(llama(), { r: 2 }), plain)
    expect(await files.list()).toEqual([...(await plain.list()), 'lowrank.json'])
    expect(await readJson(files, 'lowrank.json')).toEqual({
      lowrank: VERSION,
      base: await baseIdentity(llama()),
      backend,
      reproducible,
      seed: 5,
    })
  })

  it('knows a base with other adapters, merged or not', async () => {
    const { sha256 } = await baseIdentity(llama())
    const model = attach(llama(), { r: 4, targetModules: 'all-linear' })
    attach(model, { r: 2 }, { adapterName: 'second' })
    attach(model, { r: 2, modulesToSave: ['lm_head'] }, { adapterName: 'third' })
    merge(model)
    expect((await baseIdentity(model)).sha256).toBe(sha256)
  })

  it('warns of another base, in values or dtype, and says which', async () => {
    const { files } = await saved()
    const same = llama()
    expect(await baseWarnings(same, files)).toEqual([])
    same.model.norm.weight.replace(new Float32Array(16).fill(2))
    const [warning, ...rest] = await baseWarnings(same, files)
    expect(rest).toEqual([])
    expect(warning).toMatch(
      /lowrank\.json: the adapter was trained over base [0-9a-f]{12}… \(float32, \d+ parameters\)/,
    )
    const layer = new Linear(4, 4)
    const half = new Linear(4, 4)
    half.weight.replace(layer.weight.dataSync(), 'bfloat16')
    expect((await baseIdentity(half)).dtype).toBe('bfloat16, float32')
  })

  it('hashes one line for each weight by name: name, dtype, shape, hash of its bytes', async () => {
    const [a, b] = [new Linear(2, 3), new Linear(3, 2)]
    const forward = (x: Tensor): Tensor => a.forward(x)
    class First extends Module {
      a = a
      b = b
      forward = forward
    }
    class Last extends Module {
      b = b
      a = a
      forward = forward
    }
    const sha = (data: string | Uint8Array) => createHash('sha256').update(data).digest('hex')
    const line = (name: string, parameter: Parameter) =>
      `${name} float32 [${parameter.shape.join(', ')}] ` +
      `${sha(new Uint8Array(Float32Array.from(parameter.dataSync()).buffer))}\n`
    const want = sha(
      line('a.bias', a.bias!) +
        line('a.weight', a.weight) +
        line('b.bias', b.bias!) +
        line('b.weight', b.weight),
    )
    for (const model of [new First(), new Last()]) {
      const { sha256, parameters } = await baseIdentity(model)
      expect([sha256, parameters]).toEqual([want, 17])
    }
  })

  it.each([undefined, {}])('needs the hashes of the platform: crypto is %j', async crypto => {
    const own = Object.getOwnPropertyDescriptor(globalThis, 'crypto') as PropertyDescriptor
    Object.defineProperty(globalThis, 'crypto', { value: crypto, configurable: true })
    const failure = await baseIdentity(new Linear(2, 2)).catch(error => error)
    Object.defineProperty(globalThis, 'crypto', own)
    expect(failure.code).toBe('backend')
    expect(failure.message).toContain('expected crypto.subtle, got none')
  })

  it.each(['null', '{"base": null}', '{"base": {"sha256": "00"}}', '{"base": {"dtype": "f"}}'])(
    'is not checked where it says no base: %s',
    async text => {
      const files = memoryDirectory({ 'lowrank.json': text })
      expect((await baseWarnings(new Linear(2, 2), files))[0]).toContain('it is not checked')
    },
  )

  it('is not needed, and damage to it is no obstacle to loading', async () => {
    const { files } = await saved()
    await files.write('lowrank.json', '{}')
    expect((await baseWarnings(llama(), files))[0]).toContain('it is not checked')
    await load(llama(), files)
    const heard: string[] = []
    await load(llama(), files, { onWarning: warning => heard.push(warning) })
    expect(heard.length).toBe(1)
    expect(await baseWarnings(llama(), memoryDirectory())).toEqual([])
  })
})
