// Starts from what layers are given: the directions that vary most, ranks where they explain most, masks,
// batches that are too small.

import { add, Linear, Module, mul, Random, type Tensor, tensor } from 'lowrank'
import { memoryDirectory, readJson } from 'lowrank/io'
import { attachEva, load, loraLayers, saveAdapter } from 'lowrank/lora'
import { Embedding } from 'lowrank/nn'
import { describe, expect, it } from 'vitest'
import { Eva, type LayerInput } from '../../../src/lora/init/eva.ts'
import { tinyLlama } from '../../support/models.ts'

class Block extends Module {
  fc: Linear = new Linear(4, 4)

  forward(x: Tensor): Tensor {
    return this.fc.forward(x)
  }
}

/** Paths of which one is the end of the other. */
class Nested extends Module {
  fc: Linear = new Linear(4, 4)
  block: Block = new Block()
  readonly #directions: number

  constructor(directions = 1) {
    super()
    this.#directions = directions
  }

  /** The first layer sees some directions of x, the other all. */
  forward(x: Tensor): Tensor {
    const seen = [0, 1, 2, 3].map(i => (i < this.#directions ? 1 : 0))
    const first = mul(x, tensor(seen, [1, 4]))
    return add(this.block.forward(x), this.fc.forward(first))
  }
}

describe('attachEva', () => {
  /** Batches whose first columns vary most. */
  function batches(width: number) {
    const random = new Random(6)
    return Array.from({ length: 3 }, () => {
      const values = Array.from({ length: 64 * width }, (_, at) => {
        return random.normal() * 4 ** -(at % width)
      })
      return tensor(values, [64, width])
    })
  }
  const forward = (model: { forward(x: never): unknown }, x: unknown) => model.forward(x as never)

  it('finds the directions in which the input varies; B is zero', async () => {
    const layer = await attachEva(new Linear(5, 4), { r: 2, loraAlpha: 6 }, batches(5), { forward })
    const { A, B, r, scaling } = layer.adapters.get('default')!
    expect([r, scaling]).toEqual([2, 3])
    const a = A.dataSync()
    expect(Math.abs(a[0])).toBeGreaterThan(0.99)
    expect(Math.abs(a[6])).toBeGreaterThan(0.99)
    expect(B.dataSync().every(value => value === 0)).toBe(true)
  })

  it('is saved and read with its ranks', async () => {
    const ids = tensor(
      Array.from({ length: 48 }, (_, i) => (i * 7) % 40),
      [4, 12],
      { dtype: 'int32' },
    )
    const other = await attachEva(tinyLlama(), { r: 2 }, [ids], { forward, rho: 2 })
    const files = memoryDirectory()
    await saveAdapter(other, files)
    const config = (await readJson(files, 'adapter_config.json')) as Record<string, unknown>
    expect(config.init_lora_weights).toBe('eva')
    expect(Object.values(config.rank_pattern as object)).not.toContain(config.r)
    const again = await load(tinyLlama(), files)
    const ranks = (m: typeof other) => loraLayers(m).map(({ layer }) => layer.states()[0].r)
    expect(ranks(again)).toEqual(ranks(other))
    expect(ranks(other).reduce((sum, r) => sum + r, 0)).toBe(8)
  })

  it('looks for no more components than a layer has inputs', async () => {
    const layer = await attachEva(new Linear(6, 4), { r: 4 }, batches(6), { forward })
    expect(layer.adapters.get('default')?.A.shape).toEqual([4, 6])
  })

  it('gives each of two layers whose paths end alike a rank of its own', async () => {
    // The input of fc lies on a line, that of block.fc does not.
    const [model, again] = [new Nested(), new Nested()]
    const config = { r: 2, loraAlpha: 6, targetModules: ['fc'] }
    await attachEva(model, config, batches(4), { forward })
    const ranks = (m: Nested) => loraLayers(m).map(({ path, layer }) => [path, layer.states()[0].r])
    const found = new Map(ranks(model) as [string, number][])
    expect([...found]).toEqual([
      ['fc', 1],
      ['block.fc', 3],
    ])
    const files = memoryDirectory()
    await saveAdapter(model, files)
    await load(again, files)
    expect(ranks(again)).toEqual(ranks(model))
    expect(loraLayers(again).map(({ layer }) => layer.states()[0].scaling)).toEqual(
      loraLayers(again).map(() => 3),
    )
  })

  it('counts the rows of a mask alone', async () => {
    const [x] = batches(5)
    const mask = () => Array.from({ length: 64 }, (_, i) => i < 40)
    const layer = await attachEva(new Linear(5, 4), { r: 2 }, [x], { forward, mask })
    const kept = tensor(x.dataSync().slice(0, 200), [40, 5])
    const other = await attachEva(new Linear(5, 4), { r: 2 }, [kept], { forward })
    const a = (l: typeof layer) => l.adapters.get('default')!.A.dataSync()
    expect(a(layer)).toEqual(a(other))
  })

  it('puts nothing on a layer that comes out with rank 0, and says the ranks of the others', async () => {
    // Two directions for fc, four for block.fc, of which two are looked for.
    const [model, again] = [new Nested(2), new Nested(2)]
    const config = { r: 1, loraAlpha: 6, targetModules: ['fc'] }
    const flat = new Random(2)
    const x = tensor(
      Array.from({ length: 256 }, () => flat.normal()),
      [64, 4],
    )
    const before = model.block.fc.forward
    await attachEva(model, config, [x], { forward, adjustScalingFactors: false })
    expect(loraLayers(model).map(({ path, layer }) => [path, layer.states()[0].r])).toEqual([
      ['fc', 2],
    ])
    expect(model.block.fc.forward).toBe(before)
    const files = memoryDirectory()
    await saveAdapter(model, files)
    const json = (await readJson(files, 'adapter_config.json')) as Record<string, unknown>
    expect([json.r, json.rank_pattern, json.alpha_pattern]).toEqual([1, { '^fc': 2 }, {}])
    await load(again, files)
    expect(loraLayers(again).map(({ path }) => path)).toEqual(['fc'])
  })

  it('leaves the targets of a single layer as they were', async () => {
    const layer = await attachEva(new Linear(5, 4), { r: 2 }, batches(5), { forward })
    const files = memoryDirectory()
    await saveAdapter(layer, files)
    const json = (await readJson(files, 'adapter_config.json')) as Record<string, unknown>
    expect([json.target_modules, json.rank_pattern, json.alpha_pattern]).toEqual([
      ['linear'],
      {},
      {},
    ])
  })

  it('counts the first input of a layer that runs more than once', async () => {
    const [x] = batches(5)
    const start = async (again: boolean) => {
      const layer = await attachEva(new Linear(5, 4), { r: 2 }, [x], {
        forward: (model, batch) => {
          model.forward(batch as Tensor)
          return again && model.forward(mul(batch as Tensor, tensor([0, 0, 0, 0, 1], [1, 5])))
        },
      })
      return layer.states()[0].A.dataSync()
    }
    expect(await start(true)).toEqual(await start(false))
  })

  it('leaves the layers as they were where the model fails', async () => {
    const model = new Nested()
    const before = model.fc.forward
    const failing = () => {
      throw new Error('stop')
    }
    const config = { r: 2, targetModules: ['fc'] }
    await expect(attachEva(model, config, batches(4), { forward: failing })).rejects.toThrow('stop')
    expect(model.fc.forward).toBe(before)
    await expect(attachEva(model, config, batches(4), { forward: () => 0 })).rejects.toThrow(
      '"block.fc" was not reached by the batch',
    )
  })

  it('says what is wrong with batches, masks and layers', async () => {
    const start = (options: object, data: unknown[] = batches(5)) =>
      attachEva(new Linear(5, 4), { r: 2 }, data as never, { forward, ...options })
    await expect(start({ mask: () => [1] })).rejects.toThrow('expected a mask of 64 rows, got 1')
    await expect(start({ tau: 2, maxBatches: 3 })).rejects.toThrow('settle within 3 batches')
    await expect(start({}, [])).rejects.toThrow('needs a batch of at least')
    await expect(start({ forward: () => undefined })).rejects.toThrow('was not reached')
    const embedding = attachEva(new Embedding(8, 6), { r: 2 }, batches(5), { forward })
    await expect(embedding).rejects.toThrow('is of the kind embedding, which EVA cannot start')
  })
})

describe('EVA', () => {
  const inputOf = (seed: number, rows: number, cols: number, most = 0): LayerInput => {
    const random = new Random(seed)
    const draw = (_: unknown, at: number) => random.normal() * 3 ** -Math.abs((at % cols) - most)
    return { data: Float64Array.from({ length: rows * cols }, draw), rows, cols }
  }

  it.each([
    [2, 1.25, 2],
    [2, 1.75, 4],
    [1, 2.4, 2],
    [1, 2.6, 3],
    [3, 1, 3],
    [4, undefined, 6],
  ])('looks for round(ρ·r) components, half to even: r %d, ρ %s', (r, rho, count) => {
    const eva = new Eva(new Map([['fc', r]]), { rho })
    eva.add(new Map([['fc', inputOf(1, 1, 6)]]))
    expect(() => eva.result()).toThrow(`"fc" needs a batch of at least ${count} rows, got none`)
  })

  it('leaves out batches with fewer rows than components', () => {
    const [small, large] = [inputOf(1, 3, 6), inputOf(2, 20, 6)]
    const result = (batches: LayerInput[]) => {
      const eva = new Eva(new Map([['fc', 2]]))
      for (const batch of batches) {
        eva.add(new Map([['fc', batch]]))
      }
      return eva.result().get('fc')?.A
    }
    expect(result([small, large, small])).toEqual(result([large]))
    expect(result([inputOf(1, 4, 6), large])).not.toEqual(result([large]))
  })

  it('gives layers with one input one start, and each its rank', () => {
    const shared = inputOf(1, 30, 6)
    const copy = { ...shared, data: shared.data.slice() }
    const other = inputOf(2, 30, 6, 3)
    const ranks = new Map([
      ['q', 2],
      ['k', 1],
      ['other', 1],
    ])
    const eva = new Eva(ranks)
    eva.add(
      new Map([
        ['q', shared],
        ['k', copy],
        ['other', other],
      ]),
    )
    const starts = eva.result()
    const q = starts.get('q')!
    const k = starts.get('k')!
    expect([...starts.values()].reduce((sum, { r }) => sum + r, 0)).toBe(4)
    expect([...starts.values()].every(one => one.singularValues.length === one.r)).toBe(true)
    expect([...k.A]).toEqual([...q.A.slice(0, k.r * 6)])
    expect(starts.get('other')!.r).toBeGreaterThan(0)
    expect(Math.abs(starts.get('other')!.A[3])).toBeGreaterThan(0.9)
  })

  it('does not take an input for another that begins as it does', () => {
    const long = inputOf(1, 40, 6)
    const short = { ...long, data: long.data.slice(0, 60), rows: 10 }
    const eva = new Eva(
      new Map([
        ['a', 2],
        ['b', 2],
      ]),
    )
    eva.add(
      new Map([
        ['a', short],
        ['b', long],
      ]),
    )
    const starts = eva.result()
    expect(starts.get('b')!.singularValues[0]).not.toBe(starts.get('a')!.singularValues[0])
  })

  it('divides by the root of the singular value to whiten', () => {
    const result = (whiten: boolean) => {
      const eva = new Eva(new Map([['fc', 2]]), { whiten })
      eva.add(new Map([['fc', inputOf(1, 20, 6)]]))
      return eva.result().get('fc')!
    }
    const [plain, white] = [result(false), result(true)]
    expect(white.singularValues).toEqual(plain.singularValues)
    white.A.forEach((value, at) => {
      const divisor = Math.sqrt(plain.singularValues[Math.floor(at / 6)])
      expect(value).toBeCloseTo(plain.A[at] / divisor, 12)
    })
  })

  it('has settled when every component that is in use has, by τ', () => {
    const batch = inputOf(1, 40, 6)
    const settled = (tau: number, times: number): boolean => {
      const eva = new Eva(new Map([['fc', 2]]), { tau })
      for (let n = 0; n < times; n++) {
        eva.add(new Map([['fc', batch]]))
      }
      return eva.settled()
    }
    expect(new Eva(new Map([['fc', 2]])).settled()).toBe(false)
    expect(settled(0.99, 1)).toBe(false)
    // The same batch again changes nothing.
    expect(settled(0.99, 2)).toBe(true)
    expect(settled(1.01, 2)).toBe(false)
  })
})
