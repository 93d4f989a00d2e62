// What holds for every kind of layer and every variant, for random sizes with scale ≠ 1, B ≠ 0 and
// bias ≠ 0: a fresh adapter is the identity, merged equals adapter, unmerging and training leave the base
// its bytes, each adapter keeps its own, rows of a batch equal their solo runs, files come back.

import fc from 'fast-check'
import {
  AdamW,
  Conv1D,
  Conv2d,
  Embedding,
  Linear,
  manualSeed,
  mseLoss,
  Random,
  setBackend,
  type Tensor,
  tensor,
  trainStep,
} from 'lowrank'
import { memoryDirectory } from 'lowrank/io'
import {
  attach,
  deleteAdapter,
  type LoraConfig,
  type LoraModule,
  load,
  merge,
  saveAdapter,
  setAdapter,
  unmerge,
} from 'lowrank/lora'
import type { Adaptable } from 'lowrank/nn'
import { afterEach, describe, expect, it } from 'vitest'
import { backends } from '../support/backends.ts'
import { scaledError } from '../support/fixture.ts'

interface Kind {
  readonly name: string
  /** A layer of small sizes a and b. */
  readonly make: (a: number, b: number) => Adaptable
  readonly input: (random: Random, a: number, rows: number) => Tensor
}

function floats(random: Random, shape: readonly number[]): Tensor {
  const count = shape.reduce((n, size) => n * size, 1)
  return tensor(
    Float32Array.from({ length: count }, () => random.normal()),
    shape,
  )
}

const KINDS: readonly Kind[] = [
  { name: 'linear', make: (a, b) => new Linear(a, b), input: (r, a, n) => floats(r, [n, 2, a]) },
  { name: 'conv1d', make: (a, b) => new Conv1D(a, b), input: (r, a, n) => floats(r, [n, a]) },
  {
    name: 'embedding',
    make: (a, b) => new Embedding(a, b, { scale: 3 }),
    input: (r, a, n) => {
      const data = Array.from({ length: n * 3 }, () => Math.floor(r.uniform() * a))
      return tensor(data, [n, 3], { dtype: 'int32' })
    },
  },
  {
    name: 'conv2d',
    make: (a, b) => new Conv2d(a, b, [3, 2], { padding: [1, 0], stride: [1, 2] }),
    input: (r, a, n) => floats(r, [n, a, 4, 5]),
  },
  {
    name: '1 × 1 conv2d',
    make: (a, b) => new Conv2d(a, b, 1),
    input: (r, a, n) => floats(r, [n, a, 2, 3]),
  },
]

const VARIANTS: readonly (LoraConfig & { readonly name: string })[] = [
  { name: 'LoRA', r: 3, loraAlpha: 7 },
  { name: 'rsLoRA with a bias', r: 2, loraAlpha: 3, useRslora: true, loraBias: true },
  { name: 'DoRA', r: 2, loraAlpha: 5, useDora: true },
  { name: 'LoRA with trained biases', r: 2, loraAlpha: 5, bias: 'lora_only' },
]

const CASES = KINDS.flatMap(kind =>
  VARIANTS.filter(({ loraBias }) => !(loraBias && kind.name === 'embedding')).map(
    ({ name, ...config }) => ({ title: `${kind.name} under ${name}`, kind, config }),
  ),
)

const sizes = fc.record({
  a: fc.integer({ min: 4, max: 9 }),
  b: fc.integer({ min: 4, max: 9 }),
  seed: fc.integer({ min: 0, max: 1e6 }),
})

const RUNS = { numRuns: 6 }

/** Sums of at most 9·6 + 3 products in another order, f32 rounding of each. */
const TOLERANCE = 2e-5

/** Every parameter that an adapter trains gets numbers of its own. */
function stir(layer: LoraModule, name: string, seed: number): void {
  const random = new Random(seed, name)
  for (const parameter of layer.parametersOf(name).trained) {
    parameter.replace(parameter.dataSync().map(value => Math.fround(value + 0.3 * random.normal())))
  }
}

function adapted(
  { make }: Kind,
  config: LoraConfig,
  { a, b, seed }: typeof sizes extends fc.Arbitrary<infer T> ? T : never,
): LoraModule {
  manualSeed(seed)
  const layer = attach(make(a, b), config, { adapterName: 'a' }) as LoraModule
  return layer
}

const bytesOf = (layer: LoraModule, name?: string): ArrayLike<number>[] =>
  (name === undefined ? layer.base.parameters() : layer.parametersOf(name).all).map(p => p.bits())

afterEach(() => setBackend(undefined))

describe.each(backends)('on $name', ({ make: backend }) => {
  it.each(CASES)(
    '$title: fresh is the identity, merged equals adapter, the base keeps its bytes',
    ({ kind, config }) => {
      setBackend(backend())
      fc.assert(
        fc.property(sizes, drawn => {
          const layer = adapted(kind, config, drawn)
          const x = kind.input(new Random(drawn.seed, 'x'), drawn.a, 3)
          const base = layer.forward(x, { adapter: null }).dataSync()
          const before = bytesOf(layer)
          expect(scaledError(layer.forward(x).dataSync(), base)).toBeLessThanOrEqual(TOLERANCE)
          stir(layer, 'a', drawn.seed)
          const y = layer.forward(x).dataSync()
          expect(scaledError(y, base)).toBeGreaterThan(1e-3)
          merge(layer, 'a', { safe: true })
          expect(scaledError(layer.forward(x).dataSync(), y)).toBeLessThanOrEqual(TOLERANCE)
          unmerge(layer)
          expect(layer.forward(x).dataSync()).toEqual(y)
          expect(layer.forward(x, { adapter: null }).dataSync()).toEqual(base)
          expect(bytesOf(layer)).toEqual(before)
        }),
        RUNS,
      )
    },
  )

  it.each(CASES)('$title: a row in a batch has the bits of the row alone', ({ kind, config }) => {
    setBackend(backend())
    fc.assert(
      fc.property(sizes, drawn => {
        const layer = adapted(kind, config, drawn)
        attach(layer, { r: 1, loraAlpha: 2 }, { adapterName: 'b' })
        stir(layer, 'a', drawn.seed)
        stir(layer, 'b', drawn.seed)
        const names = ['b', 'a', '__base__', 'a']
        const x = kind.input(new Random(drawn.seed, 'x'), drawn.a, names.length)
        const y = layer.forward(x, { adapterNames: names }).dataSync()
        const [width, depth] = [x.size / names.length, y.length / names.length]
        names.forEach((name, row) => {
          const part = x.dataSync().slice(row * width, (row + 1) * width)
          const own = tensor(part, [1, ...x.shape.slice(1)], { dtype: x.dtype })
          const want = layer.forward(own, { adapter: name === '__base__' ? null : name })
          const got = y.slice(row * depth, (row + 1) * depth)
          expect(scaledError(got, want.dataSync())).toBeLessThanOrEqual(TOLERANCE)
        })
      }),
      RUNS,
    )
  })

  it.each(CASES)(
    '$title: training, deleting and saving leave the rest alone',
    async ({ kind, config }) => {
      setBackend(backend())
      const drawn = { a: 6, b: 5, seed: 11 }
      const layer = adapted(kind, config, drawn)
      attach(layer, { ...config, r: 1 }, { adapterName: 'b' })
      stir(layer, 'a', 1)
      stir(layer, 'b', 2)
      setAdapter(layer, 'b')
      const x = kind.input(new Random(3, 'x'), drawn.a, 4)
      const [base, other, own] = [bytesOf(layer), bytesOf(layer, 'a'), bytesOf(layer, 'b')]
      const target = tensor(new Float32Array(layer.forward(x).size), layer.forward(x).shape)
      const optimizer = new AdamW(layer.trainable(), { lr: 0.01 })
      await trainStep(optimizer, () => mseLoss(layer.forward(x), target))
      expect(bytesOf(layer)).toEqual(base)
      expect(bytesOf(layer, 'a')).toEqual(other)
      bytesOf(layer, 'b').forEach((bits, i) => {
        expect(bits).not.toEqual(own[i])
      })
      const y = layer.forward(x, { adapter: 'a' }).dataSync()
      const files = memoryDirectory()
      await saveAdapter(layer, files, { adapterName: 'a' })
      deleteAdapter(layer, 'b')
      expect(bytesOf(layer, 'a')).toEqual(other)
      expect(layer.forward(x, { adapter: 'a' }).dataSync()).toEqual(y)
      manualSeed(drawn.seed)
      const again = (await load(kind.make(drawn.a, drawn.b), files)) as LoraModule
      expect(again.forward(x).dataSync()).toEqual(y)
      const copy = memoryDirectory()
      await saveAdapter(again, copy)
      for (const name of await files.list()) {
        expect(await copy.read(name)).toEqual(await files.read(name))
      }
    },
  )
})
