// Starts that look at the base weight: a fresh adapter is the identity, the base's bytes stay, what is
// saved is found again, and the plain form of it does the same over the base as it is.

import fc from 'fast-check'
import { Linear, manualSeed, Random, tensor } from 'lowrank'
import { memoryDirectory, readJson } from 'lowrank/io'
import {
  attach,
  convertToLora,
  EXTENSIONS,
  type LoraModule,
  load,
  loraLayers,
  mergedLayer,
  saveAdapter,
} from 'lowrank/lora'
import { Conv1D, Conv2d, Embedding } from 'lowrank/nn'
import { describe, expect, it } from 'vitest'
import { multiply } from '../../../src/linalg/dense.ts'
import { mica } from '../../../src/lora/init/mica.ts'
import { olora } from '../../../src/lora/init/olora.ts'
import { orthogonal } from '../../../src/lora/init/orthogonal.ts'
import { fastPissa, pissa } from '../../../src/lora/init/pissa.ts'
import { scaledError } from '../../support/fixture.ts'
import { tinyLlama } from '../../support/models.ts'

const TAKEN = ['pissa', 'pissa_niter_2', 'olora'] as const
const IDENTITIES = [...TAKEN, 'orthogonal', 'mica'] as const

function layerOf(I: number, O: number, seed: number): Linear {
  manualSeed(seed)
  return new Linear(I, O)
}

function rows(seed: number, count: number, width: number) {
  const random = new Random(seed)
  return tensor(
    Array.from({ length: count * width }, () => random.normal()),
    [count, width],
  )
}

/** Moves A and B away from where they started. */
function train(layer: LoraModule, seed: number): void {
  const random = new Random(seed)
  for (const { A, B } of layer.adapters.values()) {
    for (const factor of [A, B]) {
      factor.replace(factor.dataSync().map(value => value + 0.3 * random.normal()))
    }
  }
}

describe.each(IDENTITIES)('%s', init => {
  it('changes neither the output nor the bytes of the base', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 9 }),
        fc.integer({ min: 2, max: 9 }),
        fc.nat(1000),
        (I, O, seed) => {
          const plain = layerOf(I, O, seed)
          const before = plain.weight.dataSync().slice()
          const x = rows(seed, 3, I)
          const want = plain.forward(x).dataSync()
          const layer = attach(plain, { r: 2, loraAlpha: 3, initLoraWeights: init })
          // Terms of the size of W·x come and go in float32, up to 9 of them.
          expect(scaledError(layer.forward(x).dataSync(), want)).toBeLessThan(1e-5)
          expect(layer.base.weight.dataSync()).toEqual(before)
        },
      ),
      { numRuns: 30 },
    )
  })

  it('serves Conv1D as the linear layer with the same matrix', () => {
    const linear = layerOf(6, 4, 1)
    const conv = new Conv1D(6, 4)
    const weight = linear.weight.dataSync()
    conv.weight.replace(weight.map((_, at) => weight[(at % 4) * 6 + Math.floor(at / 4)]))
    manualSeed(2)
    const own = attach(linear, { r: 2, initLoraWeights: init }).adapters.get('default')!
    manualSeed(2)
    const other = attach(conv, { r: 2, initLoraWeights: init }).adapters.get('default')!
    expect(other.A.dataSync()).toEqual(own.A.dataSync())
    expect(other.B.dataSync()).toEqual(own.B.dataSync())
  })

  it('trains what it is to train', () => {
    const layer = attach(layerOf(6, 4, 1), { r: 2, initLoraWeights: init })
    const { A, B } = layer.adapters.get('default')!
    expect([A.requiresGrad, B.requiresGrad]).toEqual([true, init !== 'mica'])
    expect(layer.trainable().length).toBe(init === 'mica' ? 1 : 2)
  })
})

describe.each(TAKEN)('%s takes its start from the base', init => {
  it('and is read again as it was saved, with the same output', async () => {
    const layer = attach(layerOf(7, 5, 3), { r: 2, loraAlpha: 3, initLoraWeights: init })
    train(layer, 4)
    const files = memoryDirectory()
    await saveAdapter(layer, files)
    const again = await load(layerOf(7, 5, 3), files)
    const x = rows(5, 4, 7)
    expect(again.forward(x).dataSync()).toEqual(layer.forward(x).dataSync())
  })

  it('and merges to what it computes', () => {
    const layer = attach(layerOf(7, 5, 3), { r: 2, loraAlpha: 3, initLoraWeights: init })
    train(layer, 4)
    const x = rows(5, 4, 7)
    const want = layer.forward(x).dataSync()
    expect(scaledError(mergedLayer(layer).forward(x).dataSync(), want)).toBeLessThan(1e-5)
  })

  it.each([false, true])('and is converted to plain LoRA (useRslora %s)', async useRslora => {
    const model = attach(tinyLlama(), {
      r: 2,
      loraAlpha: 3,
      useRslora,
      initLoraWeights: init,
      rankPattern: { 'layers.0.self_attn.q_proj': 3 },
      alphaPattern: { v_proj: 5 },
    })
    const base = tinyLlama()
    for (const { layer } of loraLayers(model)) {
      train(layer, 4)
    }
    const own = new Map(model.namedParameters())
    for (const [name, parameter] of base.namedParameters()) {
      const other = own.get(name) ?? own.get(name.replace(/(\.[a-z]+)$/, '.base_layer$1'))
      parameter.replace(other!.dataSync())
    }
    const files = memoryDirectory()
    await convertToLora(model, files)
    const config = (await readJson(files, 'adapter_config.json')) as Record<string, unknown>
    expect([config.r, config.init_lora_weights]).toEqual([4, true])
    await load(base, files)
    const ids = [[1, 5, 9, 3]]
    const logits = (m: typeof base) => m.forward(tensor(ids.flat(), [1, 4], { dtype: 'int32' }))
    const want = logits(model).dataSync()
    // Float32, two blocks of sums of at most 24 products.
    expect(scaledError(logits(base).dataSync(), want)).toBeLessThan(1e-5)
  })
})

describe('start matrices of a weight', () => {
  const random = new Random(2)
  const weight = {
    data: Float64Array.from({ length: 6 }, () => random.normal()),
    rows: 2,
    cols: 3,
  }

  it.each([
    ['pissa', () => pissa(weight, 4, 0.5)],
    ['fast pissa', () => fastPissa(weight, 4, 0.5, 8, new Random(1))],
    ['olora', () => olora(weight, 4, 0.5)],
  ])('%s are filled up with zeros where W has fewer directions', (name, make) => {
    const { A, B } = make()
    expect([A.length, B.length]).toEqual([12, 8])
    expect([...A.slice(6), B[2], B[3], B[6], B[7]]).toEqual(new Array(10).fill(0))
    const scale = name === 'olora' ? 1 : 0.5
    const product = multiply(B, A, 2, 4, 3).map(value => value * scale)
    expect(scaledError(product, weight.data)).toBeLessThan(1e-12)
  })

  it.each([
    ['pissa', () => pissa(weight, 1, 0), 'has a scaling of 0, expected one above 0'],
    ['fast pissa', () => fastPissa(weight, 1, -1, 1, new Random(1)), 'has a scaling of -1'],
    ['olora', () => olora(weight, 1, Number.POSITIVE_INFINITY), 'has a scaling of Infinity'],
    ['mica', () => mica(weight, 3), 'is [2, 3], which has 2 singular vectors for "mica", got r 3'],
    ['orthogonal', () => orthogonal(4, 4, 3, new Random(1)), 'has r 3, while "orthogonal"'],
  ])('%s are refused where they cannot be', (_, make, part) => {
    expect(make).toThrow(part)
  })

  it('of pissa_niter_n are found by iteration', () => {
    const start = (initLoraWeights: string) => {
      const { A, B } = attach(layerOf(45, 40, 1), { r: 2, initLoraWeights }).states()[0]
      return multiply(Float64Array.from(B.dataSync()), Float64Array.from(A.dataSync()), 40, 2, 45)
    }
    const [exact, once, often] = ['pissa', 'pissa_niter_0', 'pissa_niter_300'].map(start)
    expect(scaledError(once, exact)).toBeGreaterThan(1e-3)
    expect(scaledError(often, exact)).toBeLessThan(1e-3)
  })

  it('of pissa_niter_n sample more directions than they keep', () => {
    // σᵢ = 2⁻ⁱ: with r directions alone two rounds are off by 2⁻⁵, with ten more by 2⁻⁵⁵.
    const size = 24
    const data = Float64Array.from({ length: size * size }, (_, at) =>
      at % (size + 1) === 0 ? 2 ** -(at / (size + 1)) : 0,
    )
    const square = { data, rows: size, cols: size }
    const { A, B } = fastPissa(square, 4, 1, 2, new Random(3))
    const leading = data.map((value, at) => (at < 4 * size ? value : 0))
    expect(scaledError(multiply(B, A, size, 4, size), leading)).toBeLessThan(1e-12)
  })
})

it('an embedding starts by "gaussian" as by default: A zero, B drawn', () => {
  const factors = (initLoraWeights: string | boolean) => {
    manualSeed(1)
    const { A, B } = attach(new Embedding(8, 6), { r: 2, initLoraWeights }).states()[0]
    return [A.dataSync(), B.dataSync()]
  }
  const [A, B] = factors('gaussian')
  expect(A.every(value => value === 0)).toBe(true)
  expect(B.some(value => value !== 0)).toBe(true)
  expect(factors(true)).toEqual([A, B])
})

describe('a start that cannot be', () => {
  it.each([
    [() => new Embedding(8, 6), 'pissa', 'is of the kind embedding, which "pissa" cannot start'],
    [() => new Conv2d(3, 4, [3, 3]), 'olora', 'is of the kind conv2d'],
    [() => new Conv2d(3, 4, [3, 3]), 'mica', 'is of the kind conv2d, which "mica"'],
    [() => new Linear(6, 6), 'orthogonal', 'has r 3, while "orthogonal" takes even ranks'],
    [() => new Linear(6, 6), 'eva', 'needs data to start by "eva" (call attachEva)'],
  ] as const)('%s with %s is refused', (make, initLoraWeights, part) => {
    expect(() => attach(make() as Linear, { r: 3, initLoraWeights })).toThrow(part)
  })

  it('has no scaling to divide by', () => {
    for (const [loraAlpha, scaling] of [
      [-4, -2],
      [0, 0],
    ]) {
      const config = { r: 2, loraAlpha, initLoraWeights: 'pissa' }
      expect(() => attach(new Linear(6, 6), config)).toThrow(`has a scaling of ${scaling}`)
    }
  })

  it('is listed for every layer before anything is changed', () => {
    const model = tinyLlama()
    expect(() => attach(model, { r: 3, initLoraWeights: 'orthogonal' })).toThrow('4 problems')
    expect(loraLayers(model)).toEqual([])
  })

  it('that fails leaves the model as it was', () => {
    const model = tinyLlama()
    const [, second] = model.model.layers
    second.self_attn.v_proj.weight.replace(new Float32Array(8 * 16).fill(Number.NaN))
    expect(() => attach(model, { r: 2, initLoraWeights: 'pissa' })).toThrow('expected finite')
    expect(loraLayers(model)).toEqual([])
  })

  it('converts nothing that is plain already', async () => {
    const layer = attach(new Linear(6, 6), { r: 2 })
    await expect(convertToLora(layer, memoryDirectory())).rejects.toThrow('is plain LoRA already')
  })

  it.each([
    ['OLoRA', 'olora'],
    ['Gaussian', 'gaussian'],
  ])('is none for %s, which PEFT reads as %s', (written, meant) => {
    const start = (initLoraWeights: string) => {
      manualSeed(4)
      return attach(new Linear(6, 5), { r: 2, initLoraWeights }).states()[0].A.dataSync()
    }
    expect(start(written)).toEqual(start(meant))
    expect(() => start('PiSSA')).toThrow('expected true, false, ')
  })

  it('names every initialisation where one is misspelt', () => {
    const names = EXTENSIONS.flatMap(({ initialisations }) => initialisations ?? [])
    const misspelt = () => attach(new Linear(6, 6), { initLoraWeights: 'pisa' })
    for (const name of [...names, 'gaussian', 'olora'].filter(name => typeof name === 'string')) {
      expect(misspelt).toThrow(name)
    }
  })
})

it('an embedding that is left as drawn has normal A and B, so that it changes the model', () => {
  const layer = attach(new Embedding(60, 40), { r: 8, initLoraWeights: false })
  for (const factor of [layer.adapters.get('default')!.A, layer.adapters.get('default')!.B]) {
    const values = Array.from(factor.dataSync())
    const variance = values.reduce((sum, value) => sum + value * value, 0) / values.length
    // Five standard errors of the variance of 320 normal draws.
    expect(Math.abs(variance - 1)).toBeLessThan(5 * Math.sqrt(2 / 320))
  }
})
