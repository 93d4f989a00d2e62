// A batch whose rows go through different adapters equals its rows one by one, in values and in
// gradients, with adapters of different ranks, rows of one adapter apart from each other, and none.

import { attach, backward, Linear, manualSeed, Random, step, type Tensor, tensor } from 'lowrank'
import { attach as attachAny, type LoraModule, setAdapter, withAdapterNames } from 'lowrank/lora'
import { DecoderCache, type LlamaForCausalLM } from 'lowrank/models'
import { describe, expect, it } from 'vitest'
import { setBackend } from '../../src/core/backend.ts'
import { backends } from '../support/backends.ts'
import { scaledError } from '../support/fixture.ts'
import { tinyLlama } from '../support/models.ts'

const [I, O, ROWS] = [6, 5, 6]
const NAMES = ['a', 'b', 'a', '__base__', 'b', 'a']

function draw(name: string, shape: readonly number[]): Tensor {
  const random = new Random(5, name)
  const count = shape.reduce((n, size) => n * size, 1)
  return tensor(
    Float32Array.from({ length: count }, () => random.normal()),
    shape,
  )
}

function layerOf(options: object): LoraModule {
  manualSeed(1)
  const one = { r: 2, loraAlpha: 6, initLoraWeights: false, ...options }
  const layer = attachAny(new Linear(I, O), one, { adapterName: 'a' })
  attach(layer, { r: 3, loraAlpha: 4, initLoraWeights: false }, { adapterName: 'b' })
  setAdapter(layer, ['a', 'b'])
  return layer
}

/** Values of A and B of both adapters' gradients. */
function gradientsOf(layer: LoraModule): Map<string, number[]> {
  const found = new Map<string, number[]>()
  for (const [name, { A, B }] of layer.adapters) {
    found.set(`${name}.A`, [...(A.grad?.dataSync() ?? [])])
    found.set(`${name}.B`, [...(B.grad?.dataSync() ?? [])])
  }
  return found
}

/** Sums of K + R terms in another order; f32 rounding of each. */
const TOLERANCE = 4e-6

describe.each(backends)('rows with adapters of their own on $name', ({ make }) => {
  it.each([
    ['plain', {}],
    ['DoRA', { useDora: true }],
  ])('equal row by row: %s', (_, options) => {
    setBackend(make())
    try {
      const layer = layerOf(options)
      const [x, dy] = [draw('x', [ROWS, 2, I]), draw('dy', [ROWS, 2, O])]
      const y = step(() => {
        const y = layer.forward(x, { adapterNames: NAMES })
        backward(y, dy)
        return y
      }).dataSync()
      const together = gradientsOf(layer)
      const alone = layerOf(options)
      step(() => {
        NAMES.forEach((name, row) => {
          const part = (t: Tensor, width: number): Tensor =>
            tensor(t.dataSync().subarray(row * 2 * width, (row + 1) * 2 * width), [1, 2, width])
          const own = alone.forward(part(x, I), { adapter: name === '__base__' ? null : name })
          const got = y.subarray(row * 2 * O, (row + 1) * 2 * O)
          expect(scaledError(got, own.dataSync()), `row ${row}`).toBeLessThanOrEqual(TOLERANCE)
          if (name !== '__base__') {
            backward(own, part(dy, O))
          }
        })
      })
      for (const [name, want] of gradientsOf(alone)) {
        const error = scaledError(together.get(name) ?? [], want)
        expect(error, name).toBeLessThanOrEqual(TOLERANCE)
      }
    } finally {
      setBackend(undefined)
    }
  })
})

describe('rows through a whole model', () => {
  const T = 4
  const IDS = [5, 9, 3, 0, 7, 7, 2, 0, 1, 8, 6, 4, 5, 9, 3, 11]
  const ROW_NAMES = ['a', '__base__', 'c', 'b']
  const pick = (rows: readonly number[]): Tensor =>
    tensor(
      rows.flatMap(row => IDS.slice(row * T, (row + 1) * T)),
      [rows.length, T],
      { dtype: 'int32' },
    )
  const ALL = [0, 1, 2, 3]
  const maskOf = (rows: readonly number[]): Tensor =>
    tensor(
      rows.flatMap(row => IDS.slice(row * T, (row + 1) * T).map(id => (id === 0 ? 0 : 1))),
      [rows.length, T],
      { dtype: 'int32' },
    )

  /** Three adapters on different layers; c has whole modules of its own. */
  function mixed(): LlamaForCausalLM {
    manualSeed(8)
    const model = tinyLlama()
    const one = { r: 2, loraAlpha: 6, initLoraWeights: false, loraDropout: 0.4 }
    attachAny(model, { ...one, targetModules: ['q_proj', 'up_proj'] }, { adapterName: 'a' })
    attachAny(model, { ...one, targetModules: ['v_proj', 'lm_head'] }, { adapterName: 'b' })
    const modulesToSave = ['self_attn', 'lm_head']
    const whole = { ...one, targetModules: ['down_proj'], modulesToSave }
    attachAny(model, whole, { adapterName: 'c' })
    for (const parameter of model.trainable()) {
      parameter.replace(parameter.dataSync().map((value, i) => value + 0.1 * ((i % 5) - 2)))
    }
    return model
  }

  it('equal row by row where adapters are for different layers, or have whole modules', () => {
    const model = mixed()
    const together = model.forward(pick(ALL), {
      attentionMask: maskOf(ALL),
      adapterNames: ROW_NAMES,
    })
    const size = together.size / 4
    ROW_NAMES.forEach((name, row) => {
      const adapter = name === '__base__' ? null : name
      const alone = model.forward(pick([row]), { attentionMask: maskOf([row]), adapter }).dataSync()
      const got = together.dataSync().subarray(row * size, (row + 1) * size)
      expect(scaledError(got, alone), name).toBeLessThanOrEqual(4 * TOLERANCE)
    })
  })

  it('reach the head of a loss, whoever names them', () => {
    const model = mixed()
    const labels = tensor(
      IDS.map((id, i) => (i % 3 === 0 ? -100 : id)),
      [4, T],
      { dtype: 'int32' },
    )
    const named = model.loss(pick(ALL), labels, { adapterNames: ROW_NAMES }).itemSync()
    const around = withAdapterNames(ROW_NAMES, () => model.loss(pick(ALL), labels)).itemSync()
    expect(around).toBe(named)
  })

  it('train each adapter by its own rows', () => {
    const model = mixed()
    setAdapter(model, ['a', 'b'])
    step(() => backward(model.loss(pick(ALL), pick(ALL), { adapterNames: ROW_NAMES })))
    const touched = model.trainable().filter(({ grad }) => grad?.dataSync().some(value => value))
    expect(touched.length).toBe(model.trainable().length)
  })

  it('cannot differ where a saved module fills a cache', () => {
    const model = mixed()
    const forward = (adapterNames: readonly string[]): Tensor =>
      model.forward(pick([0, 1]), {
        cache: new DecoderCache(model, { batch: 2, capacity: 8 }),
        adapterNames,
      })
    expect(() => forward(['a', 'c'])).toThrow('one adapter for all rows')
    expect(forward(['c', 'c']).dataSync()).toEqual(
      model.forward(pick([0, 1]), { adapter: 'c' }).dataSync(),
    )
  })

  it('need a name each, of an adapter that there is', () => {
    const model = mixed()
    const forward = (adapterNames: readonly string[]) => () =>
      model.forward(pick(ALL), { adapterNames })
    expect(forward(['a', 'b'])).toThrow('one adapter name for each of 4 rows, got 2')
    expect(forward(['a', 'b', 'c', 'd'])).toThrow('there is no adapter "d"')
  })
})
