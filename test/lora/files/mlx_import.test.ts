// Adapters that mlx-lm wrote itself, as PEFT's: names, ranks, scales, and files that are none.

import { encodeSafetensors, fromNumbers, memoryDirectory, readJson } from 'lowrank/io'
import { importMlx } from 'lowrank/lora'
import { describe, expect, it } from 'vitest'
import { tensorsOf } from './adapters.ts'

const CONFIG = 'adapter_config.json'
const PEFT = 'adapter_model.safetensors'
const MLX = 'adapters.safetensors'

// biome-ignore lint/suspicious/noExplicitAny: JSON
type Json = any

describe('what mlx-lm writes', () => {
  const mlxFiles = (shapes: Record<string, readonly number[]>, config: object = {}) => {
    const tensors = Object.entries(shapes).map(([name, shape]) => {
      const count = shape.reduce((n, size) => n * size, 1)
      const values = Float64Array.from({ length: count }, (_, i) => i + 1)
      return [name, { dtype: 'F32', shape, bytes: fromNumbers(values, 'F32') }] as const
    })
    const lora_parameters = { rank: 2, scale: 5 }
    return memoryDirectory({
      [CONFIG]: JSON.stringify({ lora_parameters, ...config }),
      [MLX]: encodeSafetensors(new Map(tensors), { format: 'mlx' }),
    })
  }
  const factors = { 'up.lora_a': [3, 2], 'up.lora_b': [2, 4] }

  it('is PEFT’s with its targets, ranks and alphas', async () => {
    const shapes = { ...factors, 'h.wte.lora_a': [9, 1], 'h.wte.lora_b': [1, 3] }
    const back = memoryDirectory()
    await importMlx(mlxFiles(shapes, { model: 'base', fine_tune_type: 'lora' }), back)
    const { target_modules, ...config } = (await readJson(back, CONFIG)) as Json
    expect(target_modules.toSorted()).toEqual(['h.wte', 'up'])
    expect(config).toEqual({
      peft_type: 'LORA',
      task_type: 'CAUSAL_LM',
      base_model_name_or_path: 'base',
      r: 2,
      lora_alpha: 10,
      lora_dropout: 0,
      bias: 'none',
      fan_in_fan_out: false,
      inference_mode: true,
      init_lora_weights: true,
      use_rslora: false,
      use_dora: false,
      modules_to_save: null,
      rank_pattern: { '^h\\.wte': 1 },
      alpha_pattern: { '^h\\.wte': 5 },
    })
    const keys = [...(await tensorsOf(back, PEFT)).keys()].map(key => key.slice(17))
    expect(keys.toSorted()).toEqual([
      'h.wte.lora_embedding_A',
      'h.wte.lora_embedding_B',
      'up.lora_A.weight',
      'up.lora_B.weight',
    ])
  })

  it.each([
    ['embed_tokens', 'lora_embedding_A'],
    ['gpt_neox.embed_in', 'lora_embedding_A'],
    ['my_wte', 'lora_A.weight'],
    ['wte.fc', 'lora_A.weight'],
  ])('of %s has %s', async (path, name) => {
    const back = memoryDirectory()
    const shapes = { [`${path}.lora_a`]: [3, 2], [`${path}.lora_b`]: [2, 4] }
    await importMlx(mlxFiles(shapes, { fine_tune_type: 'dora' }), back)
    const { base_model_name_or_path, use_dora } = (await readJson(back, CONFIG)) as Json
    expect([base_model_name_or_path, use_dora]).toEqual([null, true])
    expect([...(await tensorsOf(back, PEFT)).keys()]).toContain(`base_model.model.${path}.${name}`)
  })

  it.each([
    ['A alone', { 'up.lora_a': [3, 2] }, {}, '"up" needs lora_a and lora_b, got lora_a'],
    ['B alone', { 'up.lora_b': [2, 4] }, {}, '"up" needs lora_a and lora_b, got lora_b'],
    ['other tensors', { ...factors, 'up.lora_c': [1] }, {}, 'unexpected "up.lora_c"'],
    ['more in a name', { ...factors, 'up.lora_a.weight': [1] }, {}, 'unexpected "up.lora_a.w'],
    ['no layer', { ...factors, lora_a: [1] }, {}, 'unexpected "lora_a"'],
    ['no parameters', factors, { lora_parameters: null }, 'lora_parameters.rank: expected a'],
    ['text', factors, { lora_parameters: { rank: '2', scale: 5 } }, 'a number, got "2"'],
    ['infinity', factors, { lora_parameters: { rank: 2, scale: null } }, 'scale: expected a'],
  ])('is refused with %s', async (_, shapes, config, part) => {
    const failure = importMlx(mlxFiles(shapes, config), memoryDirectory())
    await expect(failure).rejects.toThrow(part)
  })

  it('is refused without a configuration', async () => {
    const files = mlxFiles(factors)
    await files.write(CONFIG, 'null')
    await expect(importMlx(files, memoryDirectory())).rejects.toThrow('lora_parameters.rank')
  })
})
