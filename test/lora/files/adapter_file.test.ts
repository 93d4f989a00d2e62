// Adapter directories read without a model: which tensors belong to which layer, what multiplies B·A,
// and what is wrong with files that do not belong together.

import { memoryDirectory, readJson } from 'lowrank/io'
import { describe, expect, it } from 'vitest'
import {
  mutatedBase,
  readAdapterFile,
  writeAdapterFile,
} from '../../../src/lora/files/adapter_file.ts'
import { adapterOf, factorShapes, tensorsOf } from './adapters.ts'

describe('an adapter file', () => {
  it('is refused with every layer whose factors do not belong together', async () => {
    const files = adapterOf({
      'base_model.model.a.lora_A.weight': [2, 3],
      'base_model.model.b.lora_B.weight': [4, 2],
      'base_model.model.c.lora_A.weight': [2, 3],
      'base_model.model.c.lora_B.weight': [4, 3],
      ...factorShapes({ d: [4, 3] }),
    })
    const failure = await readAdapterFile(files).catch(error => error)
    expect(failure.code).toBe('file')
    expect(failure.message).toContain('3 problems')
    expect(failure.message).toContain('"a" has A without B')
    expect(failure.message).toContain('"b" has no A')
    expect(failure.message).toContain('"c" has A [2, 3] and B [4, 3], of unequal ranks')
  })

  it('has a layer', async () => {
    const files = adapterOf({ 'base_model.model.lm_head.weight': [4, 3] })
    await expect(readAdapterFile(files)).rejects.toThrow('lora_A and lora_B, got none')
  })

  it.each([
    ['null', 'expected an object, got null'],
    ['"LORA"', 'expected an object, got "LORA"'],
    ['[]', 'expected an object, got []'],
    ['{"peft_type": "IA3"}', 'peft_type: expected "LORA", got "IA3"'],
    ['{"peft_type": "LORA", "r": "8"}', 'r: expected a number, got "8"'],
    ['{"peft_type": "LORA", "lora_alpha": 1e999}', 'lora_alpha: expected a number, got null'],
  ])('has a configuration: %s', async (text, part) => {
    const files = adapterOf(factorShapes({ a: [4, 3] }))
    await files.write('adapter_config.json', text)
    const failure = await readAdapterFile(files).catch(error => error)
    expect(failure.code).toBe('config')
    expect(failure.message).toContain(part)
  })

  it("has PEFT's defaults where it says nothing", async () => {
    const files = adapterOf(factorShapes({ a: [4, 3] }))
    await files.write('adapter_config.json', '{"peft_type": "LORA"}')
    const { r, loraAlpha, layers } = await readAdapterFile(files)
    expect([r, loraAlpha, layers[0].scaling]).toEqual([8, 8, 1])
  })

  it.each([
    ['layers.0.fc', {}, 2],
    ['layers.0.fc', { alpha_pattern: { fc: 10 } }, 5],
    ['layers.0.fc', { rank_pattern: { fc: 1 } }, 4],
    ['layers.0.fc', { rank_pattern: { fc: 4 }, use_rslora: true }, 2],
    ['layers.0.fc', { rank_pattern: null, alpha_pattern: null }, 2],
    ['layers.0.other', { alpha_pattern: { fc: 10 }, rank_pattern: { fc: 1 } }, 2],
  ])('says what multiplies B·A of %s with %j', async (path, config, scaling) => {
    const { layers } = await readAdapterFile(adapterOf(factorShapes({ [path]: [4, 3] }), config))
    expect(layers[0].scaling).toBe(scaling)
  })

  it('has tensors under today’s names and older ones, and keeps what belongs to no layer', async () => {
    const files = adapterOf({
      'base_model.model.fc.lora_A.weight': [2, 3],
      'base_model.model.fc.lora_B.weight': [4, 2],
      'base_model.model.fc.lora_B.bias': [4],
      'base_model.model.fc.lora_magnitude_vector.weight': [4],
      'base_model.model.wte.lora_embedding_A': [2, 9],
      'base_model.model.wte.lora_embedding_B': [3, 2],
      'plain.lora_A.weight': [2, 5],
      'plain.lora_B.weight': [6, 2],
      'base_model.model.lora_A.weight.other': [1],
      'base_model.model.head.weight': [2],
    })
    const { layers, others } = await readAdapterFile(files)
    const found = layers.map(({ path, kind, r, bias, magnitude }) => {
      return [path, kind, r, bias?.shape, magnitude?.shape]
    })
    expect(found.toSorted()).toEqual([
      ['fc', 'linear', 2, [4], [4]],
      ['plain', 'linear', 2, undefined, undefined],
      ['wte', 'embedding', 2, undefined, undefined],
    ])
    expect([...others.keys()].toSorted()).toEqual([
      'base_model.model.head.weight',
      'base_model.model.lora_A.weight.other',
    ])
  })

  it('is written as PEFT writes it: sorted keys, dropout as a float, every tensor', async () => {
    const files = adapterOf(
      {
        ...factorShapes({ fc: [4, 3] }),
        'base_model.model.fc.lora_B.bias': [4],
        'base_model.model.fc.lora_magnitude_vector': [4],
        'base_model.model.wte.lora_embedding_A': [2, 9],
        'base_model.model.wte.lora_embedding_B': [3, 2],
        'base_model.model.head.weight': [2],
      },
      { lora_dropout: 0, bias: 'none' },
    )
    const out = memoryDirectory()
    await writeAdapterFile(await readAdapterFile(files), out)
    const text = new TextDecoder().decode(await out.read('adapter_config.json'))
    expect(text).toContain('"lora_dropout": 0.0')
    const config = (await readJson(out, 'adapter_config.json')) as object
    expect(Object.keys(config)).toEqual(Object.keys(config).toSorted())
    const name = 'adapter_model.safetensors'
    expect(await tensorsOf(out, name)).toEqual(await tensorsOf(files, name))
  })
})

describe('a base that was changed', () => {
  const MUTATED = ['pissa', 'pissa_niter_4', 'olora', 'OLoRA', 'corda', 'loftq', 'lora_ga']

  it.each(MUTATED)('is that of %s', init => {
    expect(mutatedBase({ init_lora_weights: init })).toContain('convertToLora')
  })

  it.each([true, false, 'gaussian', 'eva', 'not_pissa', undefined])('is not that of %s', init => {
    expect(mutatedBase({ init_lora_weights: init })).toBeUndefined()
  })
})
