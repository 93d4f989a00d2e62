// adapter_config.json: what stands for "not used" in it, what cannot be applied, and what is written.

import { describe, expect, it } from 'vitest'
import { resolveConfig } from '../../../src/lora/config.ts'
import { EXTENSIONS } from '../../../src/lora/extensions.ts'
import {
  decodePeftConfig,
  encodePeftConfig,
  readPeftOptions,
} from '../../../src/lora/files/peft_config.ts'

const read = (json: object) => readPeftOptions('test', { peft_type: 'LORA', ...json })

describe('adapter_config.json', () => {
  it('may leave everything out', () => {
    expect(read({})).toEqual({})
    expect(decodePeftConfig('test', { peft_type: 'LORA' }, EXTENSIONS).r).toBe(8)
  })

  it.each([
    { use_bdlora: false },
    { corda_config: {} },
    { loftq_config: null },
    { loftq_config: {} },
    { use_qalora: null },
    { layers_pattern: [] },
    { layers_to_transform: null },
    { modules_to_save: [] },
    { bias: 'none' },
    { ensure_weight_tying: false },
    { use_dora: null },
    { trainable_token_indices: {} },
    { task_type: null },
    { revision: 'main', inference_mode: false, peft_version: '1' },
  ])('says nothing by %j', json => {
    expect(read(json)).toEqual({})
  })

  it.each([
    [{ layers_to_transform: 0 }, { layersToTransform: 0 }],
    [{ modules_to_save: ['norm'] }, { modulesToSave: ['norm'] }],
    [{ use_dora: true }, { useDora: true }],
    [{ use_rslora: false }, { useRslora: false }],
    [{ bias: 'all' }, { bias: 'all' }],
    [
      { target_modules: [], target_parameters: ['q_proj.weight'] },
      { targetModules: [], targetParameters: ['q_proj.weight'] },
    ],
    [{ trainable_token_indices: [0] }, { trainableTokenIndices: [0] }],
    [
      { task_type: 'CAUSAL_LM', lora_dropout: 0.5 },
      { taskType: 'CAUSAL_LM', loraDropout: 0.5 },
    ],
  ])('means something by %j', (json, config) => {
    expect(read(json)).toEqual(config)
  })

  it.each([
    [{ kasa_config: { a: 1 } }, 'kasa_config is {"a":1}, which this library cannot apply'],
    [{ use_bdlora: true }, 'use_bdlora is true'],
    [{ loftq_config: { bits: 4 } }, 'loftq_config is'],
    [{ layer_replication: [[0, 4]] }, 'layer_replication is [[0,4]]'],
    [{ corda_config: 'none' }, 'corda_config is "none"'],
    [{ task_type: 'SINGING' }, 'task_type: expected a task of PEFT, got "SINGING"'],
    [{ kasa_config: {} }, 'kasa_config is {}'],
    [{ arrow_config: {} }, 'arrow_config is {}'],
    [{ bias: null }, 'bias: expected "none", "all" or "lora_only", got null'],
    [{ bias: false }, 'bias: expected "none", "all" or "lora_only", got false'],
    [{ bias: [] }, 'bias: expected "none", "all" or "lora_only", got []'],
    [{ trainable_token_indices: [] }, 'trainable_token_indices: expected tokens, or null, got []'],
    [{ target_modules: [] }, 'target_modules: expected names, a pattern, or null, got []'],
    [{ target_modules: [], target_parameters: [] }, 'target_modules: expected names'],
    [{ rank_pattern: null }, 'rank_pattern: expected a value'],
    [{ alpha_pattern: null }, 'alpha_pattern: expected a value'],
    [{ target_modules: '' }, 'target_modules: expected names, a pattern, or null'],
    [{ r: null }, 'r: expected a number, got null'],
    [{ lora_dropout: '0' }, 'lora_dropout: expected a number'],
  ])('is refused with %j', (json, part) => {
    expect(() => read(json)).toThrow(part)
  })

  it.each([null, [], 'LORA', 3])('is refused where it is %j', json => {
    expect(() => readPeftOptions('test', json)).toThrow('test: expected an object, got ')
  })

  it.each([
    [0, '"lora_dropout": 0.0,'],
    [0.25, '"lora_dropout": 0.25,'],
  ])('is written with the dropout %d as Python writes floats', (loraDropout, text) => {
    const written = encodePeftConfig(resolveConfig({ loraDropout }, EXTENSIONS))
    expect(written).toContain(text)
    const keys = Object.keys(JSON.parse(written))
    expect(keys).toEqual(keys.toSorted())
    expect(JSON.parse(written)).toMatchObject({
      base_model_name_or_path: null,
      fan_in_fan_out: false,
      bias: 'none',
      lora_alpha: 8,
    })
  })
})
