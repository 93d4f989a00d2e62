import { Linear, LowrankError, manualSeed, type Parameter, tensor } from 'lowrank'
import {
  adapterNames,
  attach,
  deleteAdapter,
  disableAdapters,
  type LoraConfig,
  LoraModule,
  loraLayers,
  plan,
  setAdapter,
  withAdapter,
} from 'lowrank/lora'
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

const paths = (model: ReturnType<typeof tinyLlama>): string[] =>
  loraLayers(model).map(({ path }) => path)

describe('targets', () => {
  it('are those of PEFT for the model type by default', () => {
    const model = attach(tinyLlama(), { r: 2 })
    expect(paths(model)).toEqual([
      'model.layers.0.self_attn.q_proj',
      'model.layers.0.self_attn.v_proj',
      'model.layers.1.self_attn.q_proj',
      'model.layers.1.self_attn.v_proj',
    ])
  })

  it('may be all linear layers but the head', () => {
    const model = attach(tinyLlama(), { r: 2, targetModules: 'all-linear' })
    expect(loraLayers(model).length).toBe(14)
    expect(paths(model)).not.toContain('lm_head')
  })

  it('may be a pattern for whole paths', () => {
    const model = attach(tinyLlama(), { r: 2, targetModules: '.*layers\\.1\\..*(q|k)_proj' })
    expect(paths(model)).toEqual([
      'model.layers.1.self_attn.q_proj',
      'model.layers.1.self_attn.k_proj',
    ])
  })

  it('match whole dotted suffixes only', () => {
    const targetModules = ['1.mlp.up_proj']
    expect(paths(attach(tinyLlama(), { r: 2, targetModules }))).toEqual([
      'model.layers.1.mlp.up_proj',
    ])
    expect(messageOf(() => attach(tinyLlama(), { targetModules: ['proj'] }))).toContain(
      'matches none',
    )
  })

  it('may exclude', () => {
    const config = { r: 2, targetModules: 'all-linear', excludeModules: ['mlp.up_proj', 'k_proj'] }
    const found = paths(attach(tinyLlama(), config))
    expect(found.some(path => path.endsWith('up_proj') || path.endsWith('k_proj'))).toBe(false)
    expect(found.length).toBe(10)
  })

  it('that match nothing are an error that lists near misses, and change nothing', () => {
    const model = tinyLlama()
    const message = messageOf(() => attach(model, { targetModules: ['v_prj', 'q_proj', 'zebra'] }))
    expect(message).toContain('target "v_prj" matches none of 15 linear layers')
    expect(message).toContain('did you mean "v_proj"')
    expect(message).toContain('target "zebra" matches none of 15 linear layers (there are: q_proj')
    expect(loraLayers(model)).toEqual([])
  })

  it('that are not linear are an error', () => {
    const message = messageOf(() => attach(tinyLlama(), { targetModules: ['mlp'], r: 2 }))
    expect(message).toContain('"model.layers.0.mlp" is a LlamaMLP, which cannot take an adapter')
  })
})

describe('ranks and scales', () => {
  it('follow the first pattern that matches at a dotted suffix', () => {
    const model = attach(tinyLlama(), {
      r: 4,
      loraAlpha: 8,
      rankPattern: { 'layers.0.self_attn.q_proj': 2, q_proj: 3 },
      alphaPattern: { 'model\\.layers\\.1\\..*v_proj': 20 },
    })
    const found = loraLayers(model).map(({ layer }) => {
      const { r, scaling } = [...layer.adapters.values()][0]
      return [r, scaling]
    })
    expect(found).toEqual([
      [2, 4],
      [4, 2],
      [3, 8 / 3],
      [4, 5],
    ])
  })

  it('divide by the root of the rank with rsLoRA', () => {
    const layer = attach(new Linear(9, 9), { r: 4, loraAlpha: 8, useRslora: true })
    expect(layer.adapters.get('default')?.scaling).toBe(4)
  })

  it('larger than the layer are an error', () => {
    const message = messageOf(() => attach(tinyLlama(), { r: 9 }))
    expect(message).toContain('"model.layers.0.self_attn.v_proj" is [8, 16]')
    expect(message).toContain('(choose r of at most 8)')
  })
})

describe('plan', () => {
  it('counts without touching the model', () => {
    const model = tinyLlama()
    const { trainable, total, layers, problems } = plan(model, {
      r: 2,
      targetModules: 'all-linear',
    })
    expect(problems).toEqual([])
    expect(layers.length).toBe(14)
    const perLayer = 2 * (32 + 24 + 24 + 32 + 40 + 40 + 40)
    expect(trainable).toBe(2 * perLayer)
    expect(total).toBe(model.parameters().reduce((sum, { size }) => sum + size, 0) + trainable)
    expect(loraLayers(model)).toEqual([])
  })

  it.each<[string, LoraConfig, number]>([
    ['plain', {}, 20],
    ['a bias of B', { loraBias: true }, 24],
    ['DoRA', { useDora: true }, 24],
    ['LoRA-FA', { useLoraFa: true }, 8],
    ['MiCA', { initLoraWeights: 'mica' }, 12],
  ])('counts what training changes: %s', (_, options, count) => {
    const config = { r: 2, ...options }
    const { trainable, total } = plan(new Linear(6, 4), config)
    const sizeOf = (parameters: readonly Parameter[]): number =>
      parameters.reduce((sum, { size }) => sum + size, 0)
    const layer = attach(new Linear(6, 4), config)
    expect(trainable).toBe(count)
    expect(sizeOf(layer.trainable())).toBe(count)
    expect(total).toBe(sizeOf(layer.parameters()))
  })

  it('lists every mistake of the configuration at once', () => {
    const message = messageOf(() =>
      plan(new Linear(4, 4), { r: 0, loraDropout: 1, rankPattern: { q: 1.5 }, typo: 1 } as object),
    )
    for (const name of [
      'r: expected',
      'loraDropout: expected',
      'rankPattern: expected',
      'typo: unknown',
    ]) {
      expect(message).toContain(name)
    }
  })
})

describe('attach', () => {
  it('freezes the base and starts as the identity', () => {
    const base = new Linear(5, 3)
    const x = tensor([1, 2, 3, 4, 5], [1, 5])
    const before = base.forward(x).dataSync()
    const layer = attach(base, { r: 2, loraAlpha: 6 })
    expect(layer).toBeInstanceOf(LoraModule)
    expect(layer.forward(x).dataSync()).toEqual(before)
    expect(layer.trainable().map(({ shape }) => shape)).toEqual([
      [2, 5],
      [3, 2],
    ])
  })

  it('draws the same start for the same seed, whatever else is targeted', () => {
    const startOf = (targetModules: string[]): Float32Array => {
      manualSeed(11)
      const model = attach(tinyLlama(), { r: 2, targetModules })
      const { layer } = loraLayers(model).filter(({ path }) =>
        path.endsWith('1.self_attn.v_proj'),
      )[0]
      return layer.adapters.get('default')?.A.dataSync() as Float32Array
    }
    expect(startOf(['v_proj'])).toEqual(startOf(['q_proj', 'v_proj', 'up_proj']))
  })

  it('has the moments of its initialisation', () => {
    const A = attach(new Linear(400, 50), { r: 16 }).adapters.get('default')?.A.dataSync() ?? []
    const bound = 1 / Math.sqrt(400)
    expect(Math.max(...A)).toBeLessThanOrEqual(bound)
    expect(Math.max(...A)).toBeGreaterThan(bound * 0.99)
    const config = { r: 16, initLoraWeights: 'gaussian' } as const
    const gaussian = attach(new Linear(400, 50), config).adapters.get('default')?.A.dataSync() ?? []
    const variance = [...gaussian].reduce((sum, value) => sum + value * value, 0) / gaussian.length
    expect(Math.sqrt(variance) * 16).toBeCloseTo(1, 1)
    const unset = attach(new Linear(4, 4), { r: 2, initLoraWeights: false })
    expect(
      unset.adapters
        .get('default')
        ?.B.dataSync()
        .every(value => value !== 0),
    ).toBe(true)
  })

  it('refuses a second adapter of the same name', () => {
    const model = attach(tinyLlama(), { r: 2, targetModules: ['q_proj'] })
    for (const targetModules of [['q_proj'], ['v_proj']]) {
      const message = messageOf(() => attach(model, { r: 2, targetModules }))
      expect(message).toContain('has an adapter "default" already')
    }
    expect(loraLayers(model).length).toBe(2)
  })
})

describe('several adapters', () => {
  const x = tensor([1, 2, 3, 4], [1, 4])

  function twoAdapters(): LoraModule {
    const first = attach(new Linear(4, 4), { r: 2, initLoraWeights: false }, { adapterName: 'one' })
    return attach(first, { r: 3, initLoraWeights: false }, { adapterName: 'two' }) as LoraModule
  }

  it('are chosen per call, by default, and not at all', () => {
    const layer = twoAdapters()
    expect(adapterNames(layer)).toEqual(['one', 'two'])
    const base = layer.base.forward(x).dataSync()
    const one = layer.forward(x, { adapter: 'one' }).dataSync()
    const two = layer.forward(x, { adapter: 'two' }).dataSync()
    expect(layer.forward(x).dataSync()).toEqual(two)
    setAdapter(layer, 'one')
    expect(layer.forward(x).dataSync()).toEqual(one)
    expect(withAdapter('two', () => layer.forward(x)).dataSync()).toEqual(two)
    expect(disableAdapters(() => layer.forward(x)).dataSync()).toEqual(base)
    expect(layer.forward(x, { adapter: null }).dataSync()).toEqual(base)
    const both = layer.forward(x, { adapter: ['one', 'two'] }).dataSync()
    both.forEach((value, i) => {
      expect(value).toBeCloseTo(one[i] + two[i] - base[i], 5)
    })
  })

  it('are trained only when active', () => {
    const layer = twoAdapters()
    expect(layer.trainable().map(({ shape }) => shape[0])).toEqual([3, 4])
    setAdapter(layer, null)
    expect(layer.trainable()).toEqual([])
  })

  it('are deleted without touching the others', () => {
    const layer = twoAdapters()
    const one = layer.forward(x, { adapter: 'one' }).dataSync()
    deleteAdapter(layer, 'two')
    expect(adapterNames(layer)).toEqual(['one'])
    expect(layer.forward(x, { adapter: 'one' }).dataSync()).toEqual(one)
    expect(messageOf(() => setAdapter(layer, 'two'))).toContain('no adapter "two" (there are: one)')
  })

  it('may differ from row to row', () => {
    const layer = twoAdapters()
    const rows = tensor([1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4], [3, 4])
    const y = layer.forward(rows, { adapterNames: ['two', '__base__', 'one'] }).dataSync()
    const want = ['two', null, 'one'].flatMap(adapter => [
      ...layer.forward(x, { adapter }).dataSync(),
    ])
    y.forEach((value, i) => {
      expect(value).toBeCloseTo(want[i], 5)
    })
    expect(messageOf(() => layer.forward(rows, { adapterNames: ['two'] }))).toContain(
      'each of 3 rows',
    )
  })
})
