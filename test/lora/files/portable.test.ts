// Portable adapters: the same update from alpha and r alone, warnings, refusals.

import { Linear } from 'lowrank'
import { memoryDirectory, readJson } from 'lowrank/io'
import { attach, exportPortable, loraLayers, saveAdapter } from 'lowrank/lora'
import { describe, expect, it } from 'vitest'
import {
  adapterOf,
  delta,
  deltaOf,
  factorShapes,
  largestDifference,
  savedAdapter,
  tensorsOf,
} from './adapters.ts'

// biome-ignore lint/suspicious/noExplicitAny: JSON
type Json = any

describe('a portable adapter', () => {
  it.each([
    ['plain', {}],
    ['patterns', { rankPattern: { q_proj: 2 }, alphaPattern: { down_proj: 7 } }],
    ['rank-stabilised', { useRslora: true, rankPattern: { q_proj: 2 } }],
  ])('of a %s one needs no scaling', async (_, config) => {
    const { model, files } = await savedAdapter(config)
    const out = memoryDirectory()
    expect(await exportPortable(files, out)).toEqual([])
    const made = (await readJson(out, 'adapter_config.json')) as Json
    const { r, lora_alpha, use_rslora, rank_pattern, alpha_pattern } = made
    expect([r, lora_alpha, use_rslora, rank_pattern, alpha_pattern]).toEqual([3, 3, false, {}, {}])
    const tensors = await tensorsOf(out, 'adapter_model.safetensors')
    for (const { path, layer } of loraLayers(model)) {
      const A = tensors.get(`base_model.model.${path}.lora_A.weight`)!
      const B = tensors.get(`base_model.model.${path}.lora_B.weight`)!
      expect([A.shape[0], B.shape[1]]).toEqual([3, 3])
      const got = delta(A.data, B.data, 3, lora_alpha / r)
      // B was rounded to float32 once more.
      expect(largestDifference(got, deltaOf(layer))).toBeLessThan(1e-5)
    }
  })

  it('keeps its dtype and its bias, which is scaled, too', async () => {
    const { model, files } = await savedAdapter({ loraBias: true }, 'bfloat16')
    const [{ layer }] = loraLayers(model)
    layer.adapters.get('default')?.bias?.replace(new Float32Array(8).fill(3))
    const out = memoryDirectory()
    await exportPortable(files, out)
    const before = await tensorsOf(files, 'adapter_model.safetensors')
    const after = await tensorsOf(out, 'adapter_model.safetensors')
    expect([...after.keys()]).toEqual([...before.keys()])
    for (const [key, { data }] of before) {
      const factor = key.includes('lora_B') ? 5 / 3 : 1
      const wanted = data.map(value => value * factor)
      const most = wanted.reduce((a, b) => Math.max(a, Math.abs(b)), 0)
      expect(largestDifference(after.get(key)!.data, wanted)).toBeLessThanOrEqual(most / 256)
    }
  })

  it.each([
    [16, []],
    [17, ['rank 17 is above 16, which is what vLLM takes by default']],
    [33, ['rank 33 is above 16', 'rank 33 is above 32, which is what Workers AI']],
  ])('of rank %d gives %j', async (r, parts) => {
    const files = memoryDirectory()
    await saveAdapter(attach(new Linear(40, 40), { r }), files)
    const warnings = await exportPortable(files, memoryDirectory())
    expect(warnings.length).toBe(parts.length)
    parts.forEach((part, i) => {
      expect(warnings[i]).toContain(part)
    })
  })

  it('with whole modules gives a warning that names two of them', async () => {
    const whole = ['a', 'b', 'c'].map(name => [`base_model.model.${name}.weight`, [2]] as const)
    const shapes = { ...factorShapes({ fc: [4, 3] }), ...Object.fromEntries(whole) }
    expect(await exportPortable(adapterOf(shapes), memoryDirectory())).toEqual([
      '3 tensors are no low-rank update (base_model.model.a.weight, base_model.model.b.weight), ' +
        'which some servers refuse',
    ])
  })

  it('of convolutions of two ranks has zeros behind the rows and columns of the smaller', async () => {
    const files = adapterOf({
      'base_model.model.one.lora_A.weight': [1, 2, 1, 2],
      'base_model.model.one.lora_B.weight': [2, 1, 1, 1],
      'base_model.model.two.lora_A.weight': [2, 3],
      'base_model.model.two.lora_B.weight': [4, 2],
    })
    const out = memoryDirectory()
    await exportPortable(files, out)
    const tensors = await tensorsOf(out, 'adapter_model.safetensors')
    const read = (name: string) => {
      const { shape, data } = tensors.get(`base_model.model.one.lora_${name}.weight`)!
      return [shape, [...data]]
    }
    expect(read('A')).toEqual([
      [2, 2, 1, 2],
      [1, 2, 3, 4, 0, 0, 0, 0],
    ])
    // alpha / r is 2.
    expect(read('B')).toEqual([
      [2, 2, 1, 1],
      [2, 0, 4, 0],
    ])
  })

  it('is no start of its own, and keeps what else the configuration says', async () => {
    const files = adapterOf(factorShapes({ fc: [4, 3] }), {
      init_lora_weights: 'gaussian',
      task_type: 'CAUSAL_LM',
    })
    const out = memoryDirectory()
    await exportPortable(files, out)
    const made = (await readJson(out, 'adapter_config.json')) as Json
    expect([made.init_lora_weights, made.task_type]).toEqual([true, 'CAUSAL_LM'])
  })

  it('has no magnitudes, whatever its configuration says', async () => {
    const vector = adapterOf({
      ...factorShapes({ fc: [4, 3], up: [3, 4] }),
      'base_model.model.fc.lora_magnitude_vector': [4],
    })
    await expect(exportPortable(vector, memoryDirectory())).rejects.toThrow('magnitudes')
    const said = adapterOf(factorShapes({ fc: [4, 3] }), { use_dora: true })
    await expect(exportPortable(said, memoryDirectory())).rejects.toThrow('magnitudes')
  })

  it('of DoRA, or of what was taken from a base, is refused with the reason', async () => {
    const dora = await savedAdapter({ useDora: true })
    await expect(exportPortable(dora.files, memoryDirectory())).rejects.toThrow(
      'servers that do not know DoRA would leave its magnitudes out',
    )
    const olora = await savedAdapter({ initLoraWeights: 'olora' })
    await expect(exportPortable(olora.files, memoryDirectory())).rejects.toThrow('convertToLora')
  })

  it('needs files that belong together', async () => {
    const { files } = await savedAdapter()
    const config = (await readJson(files, 'adapter_config.json')) as Json
    await files.write(
      'adapter_config.json',
      JSON.stringify({ ...config, r: 'three', peft_type: 'X' }),
    )
    await expect(exportPortable(files, memoryDirectory())).rejects.toThrow('2 problems')
    await files.write('adapter_config.json', '[]')
    await expect(exportPortable(files, memoryDirectory())).rejects.toThrow('expected an object')
  })
})
