import { readFileSync } from 'node:fs'
import { Linear, LowrankError, Module, type Tensor } from 'lowrank'
import { memoryDirectory, readJson } from 'lowrank/io'
import {
  adapterTensors,
  attach,
  deleteAdapter,
  load,
  loraLayers,
  saveAdapter,
  setAdapter,
} from 'lowrank/lora'
import { loadModel } from 'lowrank/models/auto'
import { Conv1D, Embedding } from 'lowrank/nn'
import { directory } from 'lowrank/node'
import { describe, expect, it } from 'vitest'
import { tinyLlama } from '../support/models.ts'

const golden = new URL('../golden/models/llama_list/', import.meta.url)

async function messageOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    reason => reason,
  )
  expect(error).toBeInstanceOf(LowrankError)
  return (error as Error).message
}

describe('a PEFT directory', () => {
  it('is written byte for byte, and its configuration equal as JSON', async () => {
    const model = await loadModel(directory(new URL('base/', golden)))
    await load(model, directory(new URL('adapter/', golden)))
    const out = memoryDirectory()
    await saveAdapter(model, out, { baseModelNameOrPath: 'llama_list' })
    expect(await out.list()).toEqual(['adapter_config.json', 'adapter_model.safetensors'])
    const want = readFileSync(new URL('adapter/adapter_model.safetensors', golden))
    expect(Buffer.from(await out.read('adapter_model.safetensors')).equals(want)).toBe(true)
    const text = Buffer.from(await out.read('adapter_config.json')).toString()
    const config = JSON.parse(readFileSync(new URL('adapter/adapter_config.json', golden), 'utf8'))
    expect(JSON.parse(text)).toEqual(config)
    expect(text).toContain('"lora_dropout": 0.0')
  })

  it('comes back as it was saved', async () => {
    const model = attach(tinyLlama(), { r: 2, targetModules: 'all-linear', initLoraWeights: false })
    const out = memoryDirectory()
    await saveAdapter(model, out)
    const before = [...adapterTensors(model, 'default')].map(([key, p]) => [key, p.dataSync()])
    const other = tinyLlama()
    await load(other, out)
    expect([...adapterTensors(other, 'default')].map(([key, p]) => [key, p.dataSync()])).toEqual(
      before,
    )
    expect(other.trainable()).toEqual([])
    const again = memoryDirectory()
    await saveAdapter(other, again)
    for (const name of await out.list()) {
      expect(await again.read(name)).toEqual(await out.read(name))
    }
  })

  it('may be half precision', async () => {
    const layer = attach(new Linear(4, 3), { r: 2, initLoraWeights: false })
    const out = memoryDirectory()
    await saveAdapter(layer, out, { saveDtype: 'bfloat16' })
    const loaded = await load(new Linear(4, 3), out)
    const [was, is] = [layer, loaded].map(l => l.adapters.get('default')?.A.dataSync() ?? [])
    is.forEach((value, i) => {
      expect(Math.abs(value - was[i])).toBeLessThanOrEqual(Math.abs(was[i]) / 256)
    })
  })

  it('is never written over without being asked', async () => {
    const layer = attach(new Linear(4, 3), { r: 2 })
    const out = memoryDirectory({ 'notes.txt': 'mine' })
    expect(await messageOf(saveAdapter(layer, out))).toContain('notes.txt')
    expect(await out.list()).toEqual(['notes.txt'])
    await saveAdapter(layer, out, { overwrite: true })
    expect(await out.has('adapter_config.json')).toBe(true)
  })
})

describe('the adapter that is saved', () => {
  function two() {
    const model = attach(tinyLlama(), { r: 2 }, { adapterName: 'one' })
    return attach(model, { r: 3, targetModules: ['down_proj'] }, { adapterName: 'two' })
  }
  const savedRank = async (model: Module, adapterName?: string): Promise<unknown> => {
    const out = memoryDirectory()
    await saveAdapter(model, out, { adapterName })
    return ((await readJson(out, 'adapter_config.json')) as { r: number }).r
  }

  it('is the one that is named, else the only one, else the default one', async () => {
    const model = two()
    expect(await savedRank(model, 'one')).toBe(2)
    expect(await savedRank(model)).toBe(3)
    setAdapter(model, 'one')
    expect(await savedRank(model)).toBe(2)
    deleteAdapter(model, 'one')
    setAdapter(model, null)
    expect(await savedRank(model)).toBe(3)
  })

  it('must be there', async () => {
    const model = two()
    setAdapter(model, null)
    expect(await messageOf(savedRank(model))).toContain('got 2 (say which: adapterName)')
    expect(await messageOf(savedRank(tinyLlama()))).toContain('got none (attach one first)')
    expect(await messageOf(savedRank(model, 'three'))).toContain('there is no adapter "three"')
  })

  it('says how the linear layer that it adapts last stores its weight', async () => {
    class Mixed extends Module {
      first: Linear = new Linear(4, 4)
      second: Conv1D = new Conv1D(4, 4)
      table: Embedding = new Embedding(5, 4)
      third: Linear = new Linear(4, 4)

      forward(x: Tensor): Tensor {
        return this.second.forward(this.first.forward(this.table.forward(x)))
      }
    }
    const stored = async (targetModules: string[]): Promise<unknown> => {
      const out = memoryDirectory()
      const model = attach(new Mixed(), { r: 2, targetModules }, { adapterName: 'a' })
      attach(model, { r: 2, targetModules: ['second'] }, { adapterName: 'b' })
      await saveAdapter(model, out, { adapterName: 'a' })
      return ((await readJson(out, 'adapter_config.json')) as Record<string, unknown>)
        .fan_in_fan_out
    }
    expect(await stored(['first', 'second', 'table'])).toBe(true)
    expect(await stored(['first', 'table'])).toBe(false)
    expect(await stored(['second', 'third'])).toBe(false)
    expect(await stored(['table'])).toBe(false)
  })
})

describe('loading is strict', () => {
  async function saved(r = 2): Promise<ReturnType<typeof memoryDirectory>> {
    const out = memoryDirectory()
    await saveAdapter(attach(tinyLlama(), { r }), out)
    return out
  }

  it('lists every missing, unexpected and mis-shaped tensor, and changes nothing', async () => {
    const out = await saved()
    const config = JSON.parse(Buffer.from(await out.read('adapter_config.json')).toString())
    config.target_modules = ['q_proj', 'k_proj']
    config.r = 3
    await out.write('adapter_config.json', JSON.stringify(config))
    const model = tinyLlama()
    const message = await messageOf(load(model, out))
    expect(message).toContain(
      'missing "base_model.model.model.layers.0.self_attn.k_proj.lora_A.weight"',
    )
    expect(message).toContain(
      'unexpected "base_model.model.model.layers.1.self_attn.v_proj.lora_B.weight"',
    )
    expect(message).toContain('q_proj.lora_A.weight" is [2, 16], expected [3, 16]')
    expect(loraLayers(model)).toEqual([])
  })

  it.each([
    ['use_dora', true, 'q_proj.lora_magnitude_vector'],
    ['use_qalora', true, 'use_qalora is true'],
    ['bias', 'some', 'bias: expected one of none, all, lora_only'],
    ['modules_to_save', ['lm_head'], 'missing "base_model.model.lm_head.weight"'],
    ['peft_type', 'LOHA', 'peft_type: expected "LORA"'],
    ['r', 0, 'r: expected a whole number'],
    ['target_modules', [], 'target_modules: expected'],
    ['lora_alpha', 'eight', 'lora_alpha: expected a number'],
  ])('refuses %s = %j', async (key, value, part) => {
    const out = await saved()
    const config = JSON.parse(Buffer.from(await out.read('adapter_config.json')).toString())
    await out.write('adapter_config.json', JSON.stringify({ ...config, [key]: value }))
    expect(await messageOf(load(tinyLlama(), out))).toContain(part)
  })

  it('names the missing file', async () => {
    expect(await messageOf(load(tinyLlama(), memoryDirectory()))).toContain('adapter_config.json')
  })
})
