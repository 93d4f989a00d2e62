// Adapter files combined without a model: what comes out is what a model would save, and what cannot be
// combined is refused.

import { Linear } from 'lowrank'
import { memoryDirectory, readJson } from 'lowrank/io'
import { attach, combine, combineFiles, saveAdapter } from 'lowrank/lora'
import { describe, expect, it } from 'vitest'
import { Random } from '../../../src/core/rng.ts'
import { adapterOf, factorShapes, savedAdapter } from '../files/adapters.ts'

/** A layer with two adapters, B ≠ 0, scales 2 and 2.5. */
function layerWithTwo() {
  const random = new Random(9)
  const layer = attach(new Linear(6, 5), { r: 2, loraAlpha: 4 }, { adapterName: 'a' })
  attach(layer, { r: 2, loraAlpha: 5 }, { adapterName: 'b' })
  for (const { A, B } of layer.adapters.values()) {
    A.replace(Float32Array.from({ length: A.size }, () => random.normal()))
    B.replace(Float32Array.from({ length: B.size }, () => random.normal()))
  }
  return layer
}

describe('combine of files', () => {
  it('gives what combine on a model gives, byte for byte', async () => {
    const layer = layerWithTwo()
    const files = await Promise.all(
      ['a', 'b'].map(async adapterName => {
        const directory = memoryDirectory()
        await saveAdapter(layer, directory, { adapterName })
        return directory
      }),
    )
    const options = { combinationType: 'ties', density: 0.6, weights: [0.7, 0.3] } as const
    await combine(layer, ['a', 'b'], { ...options, adapterName: 'ab' })
    const want = memoryDirectory()
    await saveAdapter(layer, want, { adapterName: 'ab' })
    const got = memoryDirectory()
    await combineFiles(files, got, options)
    for (const name of await want.list()) {
      expect(await got.read(name)).toEqual(await want.read(name))
    }
  })

  it('refuses DoRA, biases, and bases that were changed, all at once', async () => {
    const dora = await savedAdapter({ useDora: true })
    const biased = await savedAdapter({ loraBias: true })
    const pissa = await savedAdapter({ initLoraWeights: 'pissa' })
    const sources = [dora, biased, pissa].map(({ files }) => files)
    const failure = combineFiles(sources, memoryDirectory())
    await expect(failure).rejects.toThrow('3 problems')
    await expect(failure).rejects.toThrow('magnitudes of DoRA')
  })

  const factors = factorShapes({ fc: [4, 3], up: [3, 4] })
  it.each([
    ['DoRA', factors, { use_dora: true }, 'magnitudes of DoRA'],
    [
      'a magnitude',
      { ...factors, 'base_model.model.up.lora_magnitude_vector': [3] },
      {},
      'magnitudes',
    ],
    ['a bias of B', { ...factors, 'base_model.model.up.lora_B.bias': [3] }, {}, 'biases of B'],
    ['a module', { ...factors, 'base_model.model.head.weight': [3] }, {}, '1 tensors are no'],
    ['biases', factors, { bias: 'all' }, 'biases of the base'],
  ])('refuses %s', async (_, shapes, config, part) => {
    const files = [adapterOf(factors), adapterOf(shapes, config)]
    await expect(combineFiles(files, memoryDirectory())).rejects.toThrow(part)
  })

  it('names adapters by their places in the list', async () => {
    const files = [
      adapterOf(factors, { target_modules: ['fc', 'up'] }),
      adapterOf(factors, { target_modules: '.*' }),
    ]
    const combined = combineFiles(files, memoryDirectory())
    await expect(combined).rejects.toThrow('got a pattern for "2" alone')
  })

  it.each([
    [{}, {}, ['fc']],
    [{ exclude_modules: ['x'], layers_pattern: null }, {}, ['fc', 'up']],
    [{ layers_to_transform: 0 }, {}, ['fc', 'up']],
    [{}, { target_parameters: ['up.weight'] }, ['fc', 'up']],
    [{ exclude_modules: [] }, { layers_pattern: null }, ['fc']],
  ])('has the targets, or the paths where %j or %j choose among them', async (a, b, wanted) => {
    const targets = { target_modules: ['fc'] }
    const shapes = { ...factors, 'base_model.model.fc.base_layer.weight': [4, 3] }
    const files = [
      adapterOf(shapes, { ...targets, ...a }),
      adapterOf(factors, { ...targets, ...b }),
    ]
    const out = memoryDirectory()
    await combineFiles(files, out)
    const json = (await readJson(out, 'adapter_config.json')) as Record<string, unknown>
    expect((json.target_modules as string[]).toSorted()).toEqual(wanted)
    const options = Object.keys({ ...a, ...b })
    expect(options.every(name => json[name] === null)).toBe(true)
    expect('exclude_modules' in json).toBe(options.includes('exclude_modules'))
  })

  it.each([
    [true, true, true],
    [true, false, false],
    [false, true, false],
  ])('scales as PEFT does where it is asked to: %s, %s', async (use_rslora, asked, wanted) => {
    const out = memoryDirectory()
    const options = { peftRsloraScale: asked }
    await combineFiles([adapterOf(factors, { use_rslora })], out, options)
    const json = (await readJson(out, 'adapter_config.json')) as Record<string, unknown>
    expect(json.use_rslora).toBe(wanted)
  })

  it('writes nothing over what is there', async () => {
    const { files } = await savedAdapter()
    const out = memoryDirectory({ 'notes.txt': 'mine' })
    await expect(combineFiles([files], out)).rejects.toThrow('notes.txt')
    await combineFiles([files], out, { overwrite: true })
    const config = (await readJson(out, 'adapter_config.json')) as { lora_alpha: number }
    expect(config.lora_alpha).toBe(3)
  })
})
