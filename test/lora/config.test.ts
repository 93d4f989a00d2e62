// Which values the options of a configuration take, one by one, and what follows from a task.

import { Linear, attach as plainAttach } from 'lowrank'
import { type LoraConfig, plan } from 'lowrank/lora'
import { describe, expect, it } from 'vitest'

const FLAG = 'true or false'
const NAMES = 'a string or a list of strings'
const RANKS = 'a whole number from 1 up for each pattern'
const NUMBERS = 'a finite number for each pattern'

describe('options', () => {
  it.each([
    ['r', [0, 1.5, '8', -1], 'a whole number from 1 up'],
    ['loraAlpha', [Number.POSITIVE_INFINITY, '8', null], 'a finite number'],
    ['loraDropout', [-0.1, 1, 'much', Number.NaN], 'a number in [0, 1)'],
    ['targetModules', [3, [1], ['q', 1], {}], NAMES],
    ['excludeModules', [3, ['q', 1]], NAMES],
    ['rankPattern', [null, 3, [2], 'q', { q: 0 }, { q: 2, k: 1.5 }], RANKS],
    ['alphaPattern', [[2], { q: Number.NaN }, { q: '2' }], NUMBERS],
    ['useRslora', ['yes', 1, null], FLAG],
    ['loraBias', [1], FLAG],
    ['useDora', [1], FLAG],
    ['useLoraFa', ['A'], FLAG],
    ['initLoraWeights', [1, 0, 'pisa'], 'true, false, gaussian, '],
    ['layersToTransform', [-1, 0.5, [1, -1], '1'], 'a whole number from 0 up, or a list'],
    ['modulesToSave', [[1]], NAMES],
    ['ensureWeightTying', [1], FLAG],
    ['targetParameters', ['q.weight', [1], ['q.weight', 1]], 'a list of names'],
    [
      'trainableTokenIndices',
      [[1, 1.5], { wte: [1, 1], e: [1] }, {}, 3],
      'whole numbers, each once',
    ],
    ['enableLora', [[], [false], [1], true, ['true', true]], 'a list of true and false'],
    ['bias', ['some', true], 'one of none, all, lora_only'],
    ['fanInFanOut', [1], FLAG],
  ])('%s is never %j', (name, values, wanted) => {
    for (const value of values as unknown[]) {
      const config = { [name]: value } as LoraConfig
      expect(() => plan(new Linear(4, 4), config), String(value)).toThrow(
        `${name}: expected ${wanted}`,
      )
    }
  })

  it.each([
    ['r', [1, 4]],
    ['loraAlpha', [0, -2, 0.5]],
    ['loraDropout', [0, 0.99]],
    ['targetModules', [[], 'q', ['q']]],
    ['rankPattern', [{}, { q: 2 }]],
    ['alphaPattern', [{ q: 0 }, { q: -1.5 }]],
    ['initLoraWeights', [true, false, 'gaussian', 'pissa_niter_4']],
    ['layersToTransform', [0, [0, 3]]],
    ['enableLora', [[true], [false, true]]],
    ['bias', ['none', 'lora_only']],
  ])('%s may be %j', (name, values) => {
    for (const value of values as unknown[]) {
      const { problems } = plan(new Linear(4, 4), { r: 2, [name]: value } as LoraConfig)
      expect(problems, String(value)).toEqual([])
    }
  })

  it('that are not known are refused by name, also those that every object has', () => {
    for (const name of ['rank', 'toString', 'constructor']) {
      const config = { [name]: 1 } as LoraConfig
      expect(() => plan(new Linear(4, 4), config)).toThrow(`${name}: unknown option (known: r, `)
    }
  })

  it('go together or not', () => {
    const refused = (config: LoraConfig, part: string) =>
      expect(() => plan(new Linear(4, 4), config)).toThrow(part)
    const beside = 'none beside loraDropout, loraBias or useDora'
    refused({ targetParameters: ['q.weight'], loraDropout: 0.1 }, beside)
    refused({ targetParameters: ['q.weight'], loraBias: true }, beside)
    refused({ targetParameters: ['q.weight'], useDora: true }, beside)
    refused({ layersToTransform: 1, layersPattern: 3 as never }, NAMES)
    const start = 'none beside useDora or a start whose B is not zero'
    refused({ enableLora: [true], initLoraWeights: false }, start)
    refused({ enableLora: [true], initLoraWeights: 'pissa' }, start)
  })
})

describe('a task', () => {
  it.each(['SEQ_CLS', 'TOKEN_CLS', 'QUESTION_ANS'])('%s has a head to train', taskType => {
    const wanted = 'taskType: expected one whose head is not trained'
    expect(() => plainAttach(new Linear(4, 4), { r: 2, taskType })).toThrow(wanted)
  })

  it.each(['CAUSAL_LM', 'SEQ_CLS_2'])('%s has none', taskType => {
    expect(plainAttach(new Linear(4, 4), { r: 2, taskType }).adapters.size).toBe(1)
  })

  it('names its heads in the configuration, beside those that are named', () => {
    const saved = (config: LoraConfig) => plan(new Linear(4, 4), config).config.modulesToSave
    expect(saved({ taskType: 'SEQ_CLS' })).toEqual(['classifier', 'score'])
    expect(saved({ taskType: 'QUESTION_ANS', modulesToSave: ['score'] })).toEqual([
      'score',
      'qa_outputs',
    ])
    expect(saved({ taskType: 'CAUSAL_LM' })).toBeUndefined()
    expect(saved({ taskType: 'toString' })).toBeUndefined()
  })
})
