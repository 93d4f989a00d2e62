// What a context hands to an op, and what is refused on the way in.

import { afterEach, describe, expect, it } from 'vitest'
import { type Backend, withBackend } from '../../src/core/backend.ts'
import type { DType } from '../../src/core/dtype.ts'
import {
  bytesOf,
  defineOp,
  type Op,
  type OpContext,
  type OpEvent,
  observeOps,
} from '../../src/core/op.ts'
import { Parameter } from '../../src/core/parameter.ts'
import { backward, step } from '../../src/core/tape.ts'
import { type Tensor, tensor } from '../../src/core/tensor.ts'
import { add } from '../../src/ops/add.ts'
import { linear } from '../../src/ops/linear.ts'
import { mul } from '../../src/ops/mul.ts'
import { sum } from '../../src/ops/sum.ts'
import { backends } from '../support/backends.ts'
import { boundedReference } from '../support/bounded.ts'

type Probe = Op<object, readonly [x: Tensor], object, Tensor, object>

/** An op that calls `act` in its forward and gives x back. */
function probe(act: (context: OpContext<object>, x: Tensor) => void): Probe {
  return defineOp({
    name: 'probe',
    reference: {},
    forward: (context, [x]) => {
      act(context, x)
      return { y: context.alias(x, x.shape), saved: {} }
    },
  })
}

const values = (x: Tensor): number[] => Array.from(x.dataSync())

describe.each(backends)('the context on $name', ({ make }) => {
  const on = (act: (backend: Backend) => void): void => {
    const backend = make()
    withBackend(backend, () => act(backend))
  }

  it.each<[string, DType, (context: OpContext<object>, x: Tensor) => unknown]>([
    ['floats', 'int32', (context, x) => context.floats(x)],
    ['floats', 'int32', (context, x) => context.matrix(x)],
    ['int32', 'float32', (context, x) => context.ints(x)],
  ])('expects %s, and refuses %s', (wanted, dtype, read) => {
    on(() => {
      const run = (): unknown => probe(read)([tensor([1], [1], { dtype })], {})
      expect(run).toThrow(`probe: expected ${wanted}, got ${dtype}`)
    })
  })

  it('widens half precision for a call, and packed rows too', () => {
    on(() => {
      const data = [1, -2, 0.5, 4, 8, -0.25]
      for (const dtype of ['float32', 'float16', 'bfloat16'] as const) {
        const w = new Parameter(data, [2, 3], { dtype, requiresGrad: false })
        expect(values(mul(w, 2))).toEqual(data.map(x => 2 * x))
        linear(tensor([1, 1, 1], [1, 3]), w)
        expect(values(mul(w, 2))).toEqual(data.map(x => 2 * x))
      }
    })
  })

  it('packs a frozen matrix once it is multiplied, and nothing else', () => {
    on(backend => {
      const row = tensor([1, 1, 1], [1, 3])
      const options = { requiresGrad: false }
      const frozen = new Parameter([1, 2, 3, 4, 5, 6], [2, 3], options)
      const trained = new Parameter([1, 2, 3, 4, 5, 6], [2, 3])
      linear(row, frozen)
      linear(row, trained)
      const read = probe((context, x) => context.matrix(x, false))
      const multiply = probe((context, x) => context.matrix(x))
      const [gathered, cube] = [
        new Parameter([1, 2], [1, 2], options),
        new Parameter([1, 2], [1, 1, 2], options),
      ]
      read([gathered], {})
      multiply([cube], {})
      const packed = [frozen, trained, gathered, cube].map(({ storage }) => storage.packed)
      expect(packed).toEqual([backend.pack ? [2, 3] : undefined, undefined, undefined, undefined])
    })
  })

  it('gives temporaries back, also where an op fails', () => {
    on(backend => {
      const x = tensor([1], [1])
      const { used } = backend.memory()
      const fails = probe(context => {
        context.temporary(1000)
        throw new Error('inside')
      })
      expect(() => fails([x], {})).toThrow('inside')
      expect(backend.memory().used).toBe(used)
    })
  })
})

describe('inputs', () => {
  it('of another copy of the package are refused', () => {
    const own = tensor([1], [1])
    const stranger = { shape: [1], dtype: 'float32', storage: {} } as unknown as Tensor
    expect(() => add(own, stranger)).toThrow('add: expected tensors of this copy of lowrank')
    expect(() => sum(stranger)).toThrow('expected tensors of this copy of lowrank')
  })

  it('have as many bytes as they are stored in', () => {
    const sizes = (['float32', 'int32', 'float16'] as const).map(dtype =>
      bytesOf(tensor([1, 2, 3], [3], { dtype })),
    )
    expect(sizes).toEqual([12, 12, 6])
  })
})

describe('an observer', () => {
  afterEach(() => {
    observeOps(undefined)
  })

  it('hears of every op, forward and backward, until it is told otherwise', () => {
    const events: OpEvent[] = []
    observeOps(event => events.push(event))
    const x = tensor([1, 2], [2], { requiresGrad: true })
    const from = performance.now()
    step(() => backward(sum(mul(x, x))))
    const to = performance.now()
    expect(events.map(({ name, phase }) => `${name} ${phase}`)).toEqual([
      'mul forward',
      'sum forward',
      'sum backward',
      'mul backward',
    ])
    for (const { start, duration } of events) {
      expect(start).toBeGreaterThanOrEqual(from)
      expect(duration).toBeGreaterThanOrEqual(0)
      expect(start + duration).toBeLessThanOrEqual(to)
    }
    observeOps(undefined)
    mul(x, x)
    expect(events).toHaveLength(4)
  })
})

describe('loops of the tape and the context', () => {
  it('stay inside their buffers', () => {
    withBackend(boundedReference(), () => {
      const x = tensor([1, 2, 3], [3], { requiresGrad: true })
      const w = new Parameter([4, 5, 6], [3])
      const half = tensor([7, 8, 9], [3], { dtype: 'float16' })
      const once = (): void =>
        step(() => {
          const y = add(mul(x, x), mul(add(mul(x, w), x), half))
          backward(sum(y))
        })
      once()
      once()
      // 2x + (w + 1)·half, and twice x·half.
      expect(values(x.grad as Tensor)).toEqual([2 + 35, 4 + 48, 6 + 63])
      expect(values(w.grad as Tensor)).toEqual([14, 32, 54])
      const filled: Probe = defineOp({
        name: 'filled',
        reference: {},
        forward: context => ({ y: context.filled([3], 2), saved: {} }),
      })
      expect(values(filled([x], {}))).toEqual([2, 2, 2])
    })
  })
})
