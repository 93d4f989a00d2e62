// Which adapters a model has and uses by default, where their parameters are, and what is left of one that
// is deleted.

import { Linear, LowrankError, memory, tensor, withBackend } from 'lowrank'
import { memoryDirectory } from 'lowrank/io'
import {
  attach,
  deleteAdapter,
  type LoraConfig,
  load,
  loraLayers,
  saveAdapter,
  setAdapter,
} from 'lowrank/lora'
import { reference } from 'lowrank/reference'
import { describe, expect, it } from 'vitest'
import { tinyLlama } from '../support/models.ts'

function messageOf(fn: () => unknown): string {
  try {
    fn()
  } catch (error) {
    expect(error).toBeInstanceOf(LowrankError)
    return (error as Error).message
  }
  throw new Error('expected an error')
}

describe('an adapter on a backend that is not the default one', () => {
  it.each([
    ['biases', { loraBias: true }],
    ['DoRA', { useDora: true }],
    ['a start', { initLoraWeights: 'pissa' }],
    ['modules', { modulesToSave: ['lm_head'] }],
    ['tokens', { trainableTokenIndices: [1] }],
    ['biases of the base', { bias: 'all' }],
  ] satisfies [string, LoraConfig][])(
    'is there altogether, also when it was read: %s',
    async (_, config) => {
      const backend = reference()
      const model = withBackend(backend, () => tinyLlama())
      attach(model, { r: 2, targetModules: ['q_proj'], ...config })
      const files = memoryDirectory()
      await saveAdapter(model, files)
      const read = withBackend(backend, () => tinyLlama())
      await load(read, files)
      for (const parameter of [...model.parameters(), ...read.parameters()]) {
        expect(parameter.backend).toBe(backend)
      }
      for (const { layer } of loraLayers(model)) {
        const { start } = layer.states()[0]
        expect([start?.A.backend ?? backend, start?.B.backend ?? backend]).toEqual([
          backend,
          backend,
        ])
        expect([start?.A.requiresGrad, start?.B.requiresGrad]).not.toContain(true)
      }
    },
  )
})

describe('default adapters', () => {
  /** `a` on q_proj and v_proj, `b` on v_proj alone. */
  function model() {
    const made = attach(tinyLlama(), { r: 2 }, { adapterName: 'a' })
    return attach(made, { r: 2, targetModules: ['v_proj'] }, { adapterName: 'b' })
  }
  const active = (made: ReturnType<typeof model>) =>
    loraLayers(made).map(({ layer }) => layer.active)

  it('are on each layer those that it has', () => {
    const made = model()
    expect(active(made)).toEqual([[], ['b'], [], ['b']])
    setAdapter(made, ['b', 'a'])
    expect(active(made)).toEqual([['a'], ['b', 'a'], ['a'], ['b', 'a']])
    setAdapter(made, undefined)
    expect(active(made)).toEqual([[], [], [], []])
  })

  it('stay the default ones when another is deleted', () => {
    const made = model()
    setAdapter(made, ['b', 'a'])
    deleteAdapter(made, 'b')
    expect(active(made)).toEqual([['a'], ['a'], ['a'], ['a']])
    expect(messageOf(() => deleteAdapter(made, 'b'))).toContain('no adapter "b" (there are: a)')
  })

  it('may each save modules of their own, but not one inside of another', () => {
    const saving = (name: string, modulesToSave: string[], made = tinyLlama()) =>
      attach(made, { r: 2, targetModules: ['q_proj'], modulesToSave }, { adapterName: name })
    const apart = saving('b', ['model.norm'], saving('a', ['lm_head']))
    setAdapter(apart, ['a', 'b'])
    const nested = saving('b', ['0.mlp.up_proj'], saving('a', ['0.mlp']))
    const message = messageOf(() => setAdapter(nested, ['a', 'b']))
    expect(message).toContain('"model.layers.0.mlp" has a version of its own in each of a, b')
  })

  it('give their memory back when they are deleted, and the layer is plain again', () => {
    const layer = new Linear(8, 8)
    const x = tensor(new Float32Array(8).fill(1), [1, 8])
    const want = layer.forward(x).dataSync()
    const used = memory().used
    const wrapped = attach(layer, { r: 2, initLoraWeights: false })
    wrapped.forward(x).dataSync()
    deleteAdapter(wrapped, 'default')
    expect(wrapped.names()).toEqual([])
    expect(memory().used).toBe(used)
    expect(wrapped.forward(x).dataSync()).toEqual(want)
  })
})
