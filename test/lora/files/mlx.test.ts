// Adapters for mlx-lm: what a forward pass by hand gets from the file, and the way back.

import {
  encodeSafetensors,
  fromNumbers,
  memoryDirectory,
  parseSafetensors,
  readJson,
  toFloat64,
} from 'lowrank/io'
import { exportMlx, importMlx, loraLayers } from 'lowrank/lora'
import { directory } from 'lowrank/node'
import { describe, expect, it } from 'vitest'
import { readAdapterFile } from '../../../src/lora/files/adapter_file.ts'
import { patternValue } from '../../../src/lora/targets.ts'
import {
  adapterOf,
  delta,
  deltaOf,
  factorShapes,
  largestDifference,
  savedAdapter,
  tensorsOf,
} from './adapters.ts'

const CONFIG = 'adapter_config.json'
const PEFT = 'adapter_model.safetensors'
const MLX = 'adapters.safetensors'

// biome-ignore lint/suspicious/noExplicitAny: JSON
type Json = any

const transposed = (data: ArrayLike<number>, rows: number): number[] => {
  const cols = data.length / rows
  return Array.from(data, (_, at) => data[(at % rows) * cols + Math.floor(at / rows)])
}

describe('an MLX adapter', () => {
  it.each([
    ['one scale', {}],
    ['ranks and alphas of layers', { rankPattern: { q_proj: 2 }, alphaPattern: { down_proj: 7 } }],
    ['rank-stabilised scaling', { useRslora: true, rankPattern: { q_proj: 2 } }],
  ])('with %s computes what the model does', async (_, config) => {
    const { model, files } = await savedAdapter(config)
    const mlx = memoryDirectory()
    await exportMlx(files, mlx)
    const { lora_parameters, fine_tune_type, num_layers } = (await readJson(mlx, CONFIG)) as Json
    expect([fine_tune_type, num_layers]).toEqual(['lora', -1])
    expect(lora_parameters.keys).toEqual(['down_proj', 'q_proj'])
    const tensors = await tensorsOf(mlx, MLX)
    for (const { path, layer } of loraLayers(model)) {
      const a = tensors.get(`${path}.lora_a`)!
      const b = tensors.get(`${path}.lora_b`)!
      expect(a.shape[0]).toBe(layer.inFeatures)
      expect(b.shape[1]).toBe(layer.outFeatures)
      const [, r] = a.shape
      const got = delta(
        transposed(a.data, a.shape[0]),
        transposed(b.data, r),
        r,
        lora_parameters.scale,
      )
      // B was rounded to float32 once more, where it was multiplied.
      expect(largestDifference(got, deltaOf(layer))).toBeLessThan(1e-5)
    }
  })

  it.each(['float32', 'float16', 'bfloat16'] as const)(
    '%s comes back as the same bytes',
    async dtype => {
      const { files } = await savedAdapter({}, dtype === 'float32' ? undefined : dtype)
      const mlx = memoryDirectory()
      await exportMlx(files, mlx)
      const back = memoryDirectory()
      await importMlx(mlx, back)
      expect(await back.read(PEFT)).toEqual(await files.read(PEFT))
      expect(await readJson(back, CONFIG)).toEqual(await readJson(files, CONFIG))
    },
  )

  it.each([
    'llama_list',
    'llama_embed',
    'gemma_sharded',
    'qwen2_all_linear',
    'mistral_window',
    'phi3',
  ])('the adapter of %s comes back as the same bytes', async name => {
    const files = directory(new URL(`../../golden/models/${name}/adapter/`, import.meta.url))
    const mlx = memoryDirectory()
    await exportMlx(files, mlx)
    const back = memoryDirectory()
    await importMlx(mlx, back)
    expect(Buffer.from(await back.read(PEFT)).equals(await files.read(PEFT))).toBe(true)
    expect(await readJson(back, CONFIG)).toEqual(await readJson(files, CONFIG))
  })

  it('that mlx-lm trained further keeps nothing of what it was', async () => {
    const { files } = await savedAdapter({ alphaPattern: { q_proj: 7 } })
    const mlx = memoryDirectory()
    await exportMlx(files, mlx)
    const { tensors } = parseSafetensors(await mlx.read(MLX))
    const moved = new Map(
      [...tensors].map(([key, { dtype, shape, bytes }]) => {
        const factor = key.endsWith('.lora_b') ? 3 : 1
        const values = toFloat64(bytes, dtype).map(value => value * factor)
        return [key, { dtype, shape, bytes: fromNumbers(values, dtype) }]
      }),
    )
    await mlx.write(MLX, encodeSafetensors(moved, { format: 'mlx' }))
    const back = memoryDirectory()
    await importMlx(mlx, back)
    const before = await tensorsOf(files, PEFT)
    const after = await tensorsOf(back, PEFT)
    for (const [key, { data }] of before) {
      const wanted = data.map(value => value * (key.includes('lora_B') ? 3 : 1))
      // Folded and unfolded in float32.
      expect(largestDifference(after.get(key)!.data, wanted)).toBeLessThan(1e-5)
    }
  })

  it('of mlx-lm itself becomes a PEFT adapter with the same update', async () => {
    const { model, files } = await savedAdapter({ rankPattern: { q_proj: 2 } })
    const mlx = memoryDirectory()
    await exportMlx(files, mlx)
    const { peft_config: _, ...config } = (await readJson(mlx, CONFIG)) as Json
    await mlx.write(CONFIG, JSON.stringify(config))
    const back = memoryDirectory()
    await importMlx(mlx, back)
    const made = (await readJson(back, CONFIG)) as Json
    expect(made.target_modules).toEqual(
      loraLayers(model)
        .map(({ path }) => path)
        .sort(),
    )
    const tensors = await tensorsOf(back, PEFT)
    for (const { path, layer } of loraLayers(model)) {
      const A = tensors.get(`base_model.model.${path}.lora_A.weight`)!
      const B = tensors.get(`base_model.model.${path}.lora_B.weight`)!
      const scale = config.lora_parameters.scale
      const got = delta(A.data, B.data, A.shape[0], scale)
      expect(largestDifference(got, deltaOf(layer))).toBeLessThan(1e-5)
    }
  })

  it('of layers whose paths end alike gives each its rank and scale', async () => {
    const shapes: Readonly<Record<string, readonly [number, number]>> = {
      'fc.lora_a': [3, 1],
      'fc.lora_b': [1, 3],
      'block.fc.lora_a': [3, 2],
      'block.fc.lora_b': [2, 3],
    }
    const tensors = Object.entries(shapes).map(([name, shape]) => {
      const bytes = fromNumbers(new Float64Array(shape[0] * shape[1]).fill(1), 'F32')
      return [name, { dtype: 'F32', shape, bytes }] as const
    })
    const lora_parameters = { rank: 2, scale: 5, dropout: 0 }
    const mlx = memoryDirectory({
      [CONFIG]: JSON.stringify({ fine_tune_type: 'lora', lora_parameters }),
      [MLX]: encodeSafetensors(new Map(tensors), { format: 'mlx' }),
    })
    const back = memoryDirectory()
    await importMlx(mlx, back)
    const { layers } = await readAdapterFile(back)
    expect(layers.map(({ path, r, scaling }) => [path, r, scaling]).toSorted()).toEqual([
      ['block.fc', 2, 5],
      ['fc', 1, 5],
    ])
    const made = (await readJson(back, CONFIG)) as Json
    const rank = (path: string) => patternValue('rank_pattern', path, made.rank_pattern) ?? made.r
    expect([rank('fc'), rank('block.fc')]).toEqual([1, 2])
  })

  it('keeps the magnitudes of DoRA', async () => {
    const { files } = await savedAdapter({ useDora: true })
    const mlx = memoryDirectory()
    await exportMlx(files, mlx)
    expect(((await readJson(mlx, CONFIG)) as Json).fine_tune_type).toBe('dora')
    expect((await tensorsOf(mlx, MLX)).get('model.layers.0.q_proj.m')?.shape).toEqual([8])
    const back = memoryDirectory()
    await importMlx(mlx, back)
    expect(await back.read(PEFT)).toEqual(await files.read(PEFT))
  })

  it('is refused where mlx-lm has no place', async () => {
    const { files } = await savedAdapter({ loraBias: true })
    await expect(exportMlx(files, memoryDirectory())).rejects.toThrow('has a bias of B')
    const pissa = await savedAdapter({ initLoraWeights: 'pissa' })
    await expect(exportMlx(pissa.files, memoryDirectory())).rejects.toThrow('convertToLora')
  })

  it('with strange tensors or no rank is refused, listing all', async () => {
    const { files } = await savedAdapter()
    const mlx = memoryDirectory()
    await exportMlx(files, mlx)
    const config = (await readJson(mlx, CONFIG)) as Json
    await mlx.write(
      CONFIG,
      JSON.stringify({ ...config, fine_tune_type: 'full', lora_parameters: {} }),
    )
    const failure = importMlx(mlx, memoryDirectory())
    await expect(failure).rejects.toThrow('3 problems')
    await expect(failure).rejects.toThrow('lora_parameters.rank: expected a number')
    await mlx.write(CONFIG, JSON.stringify(config))
    await mlx.write(MLX, await files.read(PEFT))
    await expect(importMlx(mlx, memoryDirectory())).rejects.toThrow('4 problems')
  })

  const convolution = {
    'base_model.model.conv.lora_A.weight': [2, 3, 1, 1],
    'base_model.model.conv.lora_B.weight': [4, 2, 1, 1],
  }
  const whole = Object.fromEntries(
    ['a', 'b', 'c', 'd'].map(name => [`base_model.model.${name}.weight`, [2]]),
  )
  it.each([
    ['convolutions', convolution, '"conv" is a convolution'],
    ['other families', factorShapes({ 'transformer.h.0.fc': [4, 3] }), 'mlx-lm calls otherwise'],
    ['whole modules', { ...factorShapes({ q_proj: [4, 3] }), ...whole }, 'got 4 tensors'],
  ])('of %s is refused', async (_, shapes, part) => {
    const failure = await exportMlx(adapterOf(shapes), memoryDirectory()).catch(error => error)
    expect(failure.code).toBe('config')
    expect(failure.message).toContain(part)
    expect(failure.message).not.toContain('d.weight')
  })

  it('of a family of its own, or with the base of an embedding, is not', async () => {
    const shapes = {
      ...factorShapes({ 'my.bert.fc': [4, 3] }),
      'base_model.model.fc.base_layer.weight': [4, 3],
    }
    const mlx = memoryDirectory()
    await exportMlx(adapterOf(shapes), mlx)
    const back = memoryDirectory()
    await importMlx(mlx, back)
    expect(await tensorsOf(back, PEFT)).toEqual(await tensorsOf(adapterOf(shapes), PEFT))
  })

  it.each([0, 0.25])(
    'says the dropout %d, the rank, and names of layers without blocks',
    async p => {
      const [first, last] = ['model.layers.10.mlp.up', 'model.layers.2.mlp.up']
      const shapes = factorShapes({ [first]: [4, 3], [last]: [4, 3], up: [4, 3] })
      const mlx = memoryDirectory()
      await exportMlx(adapterOf(shapes, p > 0 ? { lora_dropout: p } : {}), mlx)
      const { lora_parameters } = (await readJson(mlx, CONFIG)) as Json
      expect({ ...lora_parameters, keys: lora_parameters.keys.toSorted() }).toEqual({
        rank: 2,
        scale: 2,
        dropout: p,
        keys: ['mlp.up', 'up'],
      })
    },
  )

  it('of which the scale is 0 has one that is 0', async () => {
    const files = adapterOf(factorShapes({ up: [4, 3] }), { lora_alpha: 0 })
    const mlx = memoryDirectory()
    await exportMlx(files, mlx)
    expect(((await readJson(mlx, CONFIG)) as Json).lora_parameters.scale).toBe(0)
    const back = memoryDirectory()
    await importMlx(mlx, back)
    expect(await tensorsOf(back, PEFT)).toEqual(await tensorsOf(files, PEFT))
  })

  it('of which one scale is 0 has the others', async () => {
    const shapes = factorShapes({ down: [4, 3], up: [4, 3] })
    const files = adapterOf(shapes, { alpha_pattern: { down: 0, up: 6 } })
    const mlx = memoryDirectory()
    await exportMlx(files, mlx)
    expect(((await readJson(mlx, CONFIG)) as Json).lora_parameters.scale).toBe(1)
    const tensors = await tensorsOf(mlx, MLX)
    expect([...tensors.get('down.lora_b')!.data]).toEqual(new Array(8).fill(0))
    expect([...tensors.get('up.lora_b')!.data]).toEqual([3, 9, 15, 21, 6, 12, 18, 24])
  })

  it('keeps PEFT’s own B only where rounding loses it', async () => {
    const kept = async (alphas: object) => {
      const mlx = memoryDirectory()
      const shapes = factorShapes({ up: [4, 3], down: [3, 4] })
      await exportMlx(adapterOf(shapes, { alpha_pattern: alphas }, 'BF16'), mlx)
      return [...(await tensorsOf(mlx, MLX)).keys()].filter(key => key.startsWith('peft.'))
    }
    expect(await kept({})).toEqual([])
    expect(await kept({ up: 8 })).toEqual([])
    expect(await kept({ up: 1.3 })).toEqual(['peft.base_model.model.up.lora_B.weight'])
  })
})
