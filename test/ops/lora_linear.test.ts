// loraLinear: the values and gradients of the ops that it stands for, in every layout, what it keeps for
// backward, and what it refuses before a kernel reads it.

import { LowrankError, loraLinear, type Shape, type Tensor, tensor } from 'lowrank'
import { describe, expect, it } from 'vitest'
import { reference } from '../../src/backends/reference/index.ts'
import { withBackend } from '../../src/core/backend.ts'
import { OpContext } from '../../src/core/op.ts'
import { Parameter } from '../../src/core/parameter.ts'
import { Random } from '../../src/core/rng.ts'
import { scoped } from '../../src/core/scope.ts'
import { backward, step } from '../../src/core/tape.ts'
import { add } from '../../src/ops/add.ts'
import { linear } from '../../src/ops/linear.ts'
import { loraLinearOp, type RowRange } from '../../src/ops/lora_linear.ts'
import { mul } from '../../src/ops/mul.ts'
import { transpose } from '../../src/ops/transpose.ts'
import { backends } from '../support/backends.ts'
import { boundedReference } from '../support/bounded.ts'
import { checkOp } from '../support/op.ts'

const zeros = (shape: Shape) =>
  tensor(new Float32Array(shape.reduce((n, size) => n * size, 1)), shape)

const [I, O, R] = [5, 8, 2]
const random = new Random(17, 'lora_linear')
const draws = (...shape: number[]) => ({
  shape,
  data: Float32Array.from({ length: shape.reduce((n, size) => n * size, 1) }, () =>
    Math.fround(random.uniform() * 2 - 1),
  ),
})
type Drawn = ReturnType<typeof draws>

interface Layer {
  readonly weight: boolean
  readonly bias: boolean
  readonly transposed: boolean
}

/** A layer with two updates, the second with a bias of its own, from its inputs in a row. */
function layer({ weight, bias, transposed }: Layer): (...inputs: Tensor[]) => Tensor {
  return (x, ...rest) => {
    const w = weight ? rest.shift() : undefined
    const b = bias ? rest.shift() : undefined
    const [A, B, A2, B2, c] = rest
    const updates = [
      { A, B, scale: 1.5 },
      { A: A2, B: B2, bias: c, scale: -0.25 },
    ]
    return loraLinear(x, w, b, updates, { transposed })
  }
}

/** The same from ops that know nothing of LoRA. */
function composed({ weight, bias, transposed }: Layer): (...inputs: Tensor[]) => Tensor {
  return (x, ...rest) => {
    const w = weight ? rest.shift() : undefined
    const b = bias ? rest.shift() : undefined
    const [A, B, A2, B2, c] = rest
    const first = mul(linear(linear(x, A), B), 1.5)
    const both = add(first, mul(linear(linear(x, A2), B2, c), -0.25))
    const own = w ? add(both, linear(x, transposed ? transpose(w, 0, 1) : w)) : both
    return b ? add(own, b) : own
  }
}

const layers = [
  { weight: true, bias: true, transposed: false },
  { weight: true, bias: false, transposed: false },
  { weight: true, bias: true, transposed: true },
  { weight: true, bias: false, transposed: true },
  { weight: false, bias: true, transposed: false },
  { weight: false, bias: false, transposed: false },
]

function inputsOf({ weight, bias, transposed }: Layer): Drawn[] {
  const own = [
    ...(weight ? [transposed ? draws(I, O) : draws(O, I)] : []),
    ...(bias ? [draws(O)] : []),
  ]
  return [draws(2, 3, I), ...own, draws(R, I), draws(O, R), draws(3, I), draws(O, 3), draws(O)]
}

describe('loraLinear', () => {
  it.each(layers)('is its products: $weight, $bias, $transposed', kind => {
    const inputs = inputsOf(kind)
    const want = withBackend(reference(), () => {
      const tensors = inputs.map(({ shape, data }) => tensor(data, shape))
      return composed(kind)(...tensors).dataSync()
    })
    checkOp({ name: 'loraLinear', fn: layer(kind), inputs, want, wantShape: [2, 3, O] })
  })

  it.each([
    { ranges: [[0, 3]] },
    { ranges: [[1, 2]] },
    {
      ranges: [
        [2, 3],
        [0, 1],
      ],
    },
    {
      ranges: [
        [0, 1],
        [1, 1],
        [1, 3],
      ],
    },
    { ranges: [] },
  ] satisfies { ranges: RowRange[] }[])(
    'updates the entries $ranges of a batch alone',
    ({ ranges }) => {
      checkOp({
        name: 'rows',
        fn: (x, w, A, B, bias) =>
          loraLinear(x, w, undefined, [{ A, B, bias, scale: 1.5, rows: ranges }]),
        inputs: [draws(3, 2, I), draws(O, I), draws(R, I), draws(O, R), draws(O)],
      })
      const sizes = [[3, 2, I], [R, I], [O, R], [O]]
      const [x, A, B, bias] = sizes.map(shape => tensor(draws(...shape).data, shape))
      const y = loraLinear(x, undefined, undefined, [{ A, B, bias, scale: 1.5, rows: ranges }])
      const all = loraLinear(x, undefined, undefined, [{ A, B, bias, scale: 1.5 }])
      const chosen = new Set(ranges.flatMap(([from, to]) => [0, 1, 2].slice(from, to)))
      const want = all
        .dataSync()
        .map((value, i) => (chosen.has(Math.floor(i / (2 * O))) ? value : 0))
      expect(y.dataSync()).toEqual(want)
    },
  )

  it('gives factors that no entry uses a gradient of 0, and keeps no row of theirs', () => {
    const backend = boundedReference()
    withBackend(backend, () => {
      const [A, B, bias] = [[R, I], [O, R], [O]].map(shape =>
        tensor(draws(...shape).data, shape, { requiresGrad: true }),
      )
      const x = tensor(draws(3, I).data, [3, I])
      const update = { A, B, bias, scale: 2, rows: [] }
      step(() => backward(loraLinear(x, undefined, undefined, [update]), zeros([3, O])))
      for (const { grad } of [A, B, bias]) {
        expect(new Set(grad?.dataSync())).toEqual(new Set([0]))
      }
      const parts: RowRange[][] = [
        [],
        [[1, 3]],
        [
          [2, 3],
          [0, 1],
        ],
      ]
      const rows = scoped(() => {
        const context = new OpContext(backend, loraLinearOp.definition, [])
        const inputs = [x, undefined, undefined, A, B, undefined]
        return parts.map(part => {
          const updates = [{ scale: 2, rows: part }]
          return loraLinearOp.definition.forward(context, inputs, { updates }).saved.updates[0].u
        })
      }).map(({ shape }) => shape)
      expect(rows).toEqual([
        [0, R],
        [2, R],
        [2, R],
      ])
    })
  })

  it.each([
    { trained: 'A', needs: [false, false, false, true, false, false], keeps: true },
    { trained: 'W', needs: [false, true, false, false, false, false], keeps: true },
    { trained: 'B and its bias', needs: [true, false, true, false, true, true], keeps: false },
  ])('keeps x for the gradient of a factor of it: $trained', ({ needs, keeps }) => {
    const backend = reference()
    const kept = withBackend(backend, () =>
      scoped(() => {
        const sizes = [[4, I], [O, I], [O], [R, I], [O, R], [O]]
        const inputs = sizes.map(shape => tensor(draws(...shape).data, shape))
        const context = new OpContext(backend, loraLinearOp.definition, needs)
        const { saved } = loraLinearOp.definition.forward(context, inputs, {
          updates: [{ scale: 2 }],
        })
        return [saved.x === inputs[0], saved.weight === inputs[1]]
      }),
    )
    expect(kept).toEqual([keeps, needs[0]])
  })
})

describe.each(backends)('loraLinear on $name', ({ make }) => {
  it.each([false, true])('reads a frozen weight where it is, transposed: %s', transposed => {
    withBackend(make(), () => {
      const kind = { weight: true, bias: true, transposed }
      const [x, w, ...rest] = inputsOf(kind).map(({ shape, data }) => tensor(data, shape))
      const frozen = new Parameter(w.dataSync() as Float32Array, w.shape, { requiresGrad: false })
      const want = layer(kind)(x, w, ...rest).dataSync()
      expect(layer(kind)(x, frozen, ...rest).dataSync()).toEqual(want)
      // A second time, when a backend may hold the weight in a layout of its own.
      expect(layer(kind)(x, frozen, ...rest).dataSync()).toEqual(want)
    })
  })

  it('holds what backward reads beyond the scope of the layer', () => {
    withBackend(make(), () => {
      const [x, a, b] = [draws(3, I), draws(R, I), draws(O, R)]
      const gradients = (around: (fn: () => Tensor) => Tensor): unknown[] => {
        const [A, B] = [a, b].map(({ data, shape }) => tensor(data, shape, { requiresGrad: true }))
        step(() => {
          const y = around(() => {
            const updates = [A, B].map(factor => mul(factor, 2))
            const update = { A: updates[0], B: updates[1], scale: 1.5 }
            return loraLinear(tensor(x.data, x.shape), undefined, undefined, [update])
          })
          backward(mul(y, add(y, 1)), tensor(draws(3, O).data.fill(0.5), [3, O]))
        })
        return [A.grad?.dataSync(), B.grad?.dataSync()]
      }
      expect(gradients(scoped)).toEqual(gradients(fn => fn()))
    })
  })

  it('refuses a weight or bias that does not fit', () => {
    const run = (weight: Shape, bias: Shape, transposed: boolean) => () =>
      withBackend(make(), () => {
        const update = { A: zeros([2, 4]), B: zeros([3, 2]), scale: 2 }
        loraLinear(zeros([2, 4]), zeros(weight), zeros(bias), [update], { transposed })
      })
    expect(run([3, 4], [3], false)).not.toThrow()
    expect(run([4, 3], [3], true)).not.toThrow()
    expect(run([3, 5], [3], false)).toThrow('loraLinear: weight: expected [O, I] with I = 4')
    expect(run([3, 4], [3], true)).toThrow('loraLinear: weight: expected [I, O] with I = 4')
    expect(run([3, 4], [4], false)).toThrow('loraLinear: bias: expected [O] with O = 3')
  })

  it.each([
    ['A', { A: [2, 5] }],
    ['B', { B: [3, 1] }],
    ['a short bias of B', { bias: [1] }],
    ['a long bias of B', { bias: [4] }],
    ['a matrix as the bias of B', { bias: [3, 1] }],
  ] satisfies [string, Readonly<Record<string, Shape>>][])(
    'refuses %s that does not fit',
    (_, shapes) => {
      const { A, B, bias } = { A: [2, 4], B: [3, 2], bias: [3], ...shapes }
      const run = (): unknown =>
        withBackend(make(), () =>
          loraLinear(zeros([2, 4]), zeros([3, 4]), undefined, [
            { A: zeros(A), B: zeros(B), bias: zeros(bias), scale: 2 },
          ]),
        )
      expect(run).toThrow(LowrankError)
      expect(run).toThrow('loraLinear: ')
    },
  )

  const updated = (shape: Shape, rows: readonly (readonly [number, number])[]): number[] =>
    withBackend(make(), () => {
      const x = tensor(new Float32Array(shape.reduce((n, size) => n * size, 1)).fill(1), shape)
      const [A, B] = [tensor([1, 1], [1, 2]), tensor([1], [1, 1])]
      return [...loraLinear(x, undefined, undefined, [{ A, B, scale: 2, rows }]).dataSync()]
    })

  it.each([
    { shape: [3, 2], rows: [[1, 2]], want: [0, 4, 0] },
    { shape: [2, 2, 2], rows: [[1, 2]], want: [0, 0, 4, 4] },
    { shape: [2], rows: [[0, 1]], want: [4] },
    { shape: [2], rows: [], want: [0] },
    { shape: [0, 2], rows: [[0, 0]], want: [] },
  ] satisfies {
    shape: Shape
    rows: [number, number][]
    want: number[]
  }[])('updates rows $rows of a batch $shape', ({ shape, rows, want }) => {
    expect(updated(shape, rows)).toEqual(want)
  })

  it.each([
    [0, 4],
    [-1, 2],
    [2, 1],
    [0.5, 2],
    [0, 1.5],
  ])('refuses the rows %d to %d of 3', (start, end) => {
    expect(() => updated([3, 2], [[start, end]])).toThrow(
      `loraLinear: expected rows within the batch of 3, got ${start} to ${end}`,
    )
  })

  it('refuses a layer of nothing', () => {
    const run = () => withBackend(make(), () => loraLinear(zeros([2, 4]), undefined, undefined, []))
    expect(run).toThrow('loraLinear: expected a weight or an update, got neither')
  })
})
