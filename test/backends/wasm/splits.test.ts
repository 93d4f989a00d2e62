// The parts of every kernel that threads share leave the memory as the whole call does, bit for bit. Ops run
// on a backend that computes each call again from the same memory, in the parts that 2 and 5 threads
// would take. No worker runs, so nothing here depends on time.

import { AdamW, backward, SGD, step, withBackend } from 'lowrank'
import { afterAll, describe, expect, it } from 'vitest'
import { type Split, startsOf } from '../../../src/backends/wasm/threads/split.ts'
import { SPLITS } from '../../../src/backends/wasm/threads/splits.ts'
import type { DType } from '../../../src/core/dtype.ts'
import { Parameter } from '../../../src/core/parameter.ts'
import type { Shape } from '../../../src/core/shape.ts'
import { type Tensor, tensor } from '../../../src/core/tensor.ts'
import {
  add,
  crossEntropy,
  div,
  embedding,
  exp,
  gelu,
  layerNorm,
  linear,
  linearCrossEntropy,
  logSoftmax,
  matmul,
  mseLoss,
  mul,
  neg,
  relu,
  reshape,
  rmsNorm,
  rope,
  scaledDotProductAttention,
  sigmoid,
  silu,
  slice,
  softmax,
  sub,
  sum,
  swiglu,
  tanh,
} from '../../../src/ops/index.ts'
import { PartsBackend } from '../../support/parts.ts'

/** Kernels of which parts were computed. */
const seen = new Set<string>()

const values = (count: number, seed: number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => (((i + 1) * (seed + 7) * 7919) % 2003) / 1000 - 1)

const countOf = (shape: Shape): number => shape.reduce((a, b) => a * b, 1)

const draw = (shape: Shape, seed: number): Tensor =>
  tensor(values(countOf(shape), seed), shape, { requiresGrad: true })

const whole = (count: number, below: number): Tensor =>
  tensor(
    Int32Array.from({ length: count }, (_, i) => (i * 31) % below),
    [count],
    { dtype: 'int32' },
  )

/** Forward and backward, with an upstream gradient that is different everywhere. */
function run(shapes: readonly Shape[], fn: (inputs: Tensor[]) => Tensor): void {
  const inputs = shapes.map((shape, i) => draw(shape, i))
  step(() => {
    const y = fn(inputs)
    backward(sum(mul(y, tensor(values(y.size, 9), y.shape))))
  })
}

function frozen(shape: Shape, dtype: DType = 'float32'): Parameter {
  const weight = new Parameter(values(countOf(shape), 3), shape, { dtype })
  weight.freeze()
  return weight
}

const heads = (B: number, T: number, H: number): Shape => [B, T, H, 16]
const ROWS: readonly Shape[] = [[401, 203]]
const GQA = { isCausal: true, enableGqa: true }

const unary = Object.fromEntries(
  Object.entries({ exp, gelu, neg, relu, sigmoid, silu, tanh }).map(([name, op]) => [
    name,
    () => run(ROWS, ([x]) => op(x)),
  ]),
)

const binary = Object.fromEntries(
  Object.entries({ add, sub, mul, div }).flatMap(([name, op]) => [
    [name, () => run([...ROWS, ...ROWS], ([a, b]) => op(a, b))],
    [`${name} of rows and one row`, () => run([...ROWS, [203]], ([a, b]) => op(a, b))],
    [`${name} of columns and rows`, () => run([[401, 1], ...ROWS], ([a, b]) => op(a, b))],
  ]),
)

/** One step of an optimizer over more elements than a thread is handed. */
const optimizing = (make: (parameters: Parameter[]) => AdamW | SGD) => (): void => {
  const parameter = new Parameter(values(70_003, 1), [70_003])
  const optimizer = make([parameter])
  for (let i = 0; i < 2; i++) {
    step(() => backward(sum(mul(parameter, parameter))))
    optimizer.step()
    optimizer.zeroGrad()
  }
}

const matmuls: Readonly<Record<string, () => void>> = Object.fromEntries(
  [
    [1, 2051, 300],
    [3, 1201, 300],
    [50, 301, 70],
    [131, 90, 70],
    [70, 131, 90],
    [70, 901, 300],
  ].flatMap(([M, N, K]) => [
    [
      `${M}×${N}×${K}`,
      () =>
        run(
          [
            [M, K],
            [K, N],
          ],
          ([a, b]) => matmul(a, b),
        ),
    ],
    [
      `${M}×${N}×${K}, b transposed`,
      () =>
        run(
          [
            [M, K],
            [N, K],
          ],
          ([a, b]) => matmul(a, b, { transposeB: true }),
        ),
    ],
    [
      `${M}×${N}×${K}, a transposed`,
      () =>
        run(
          [
            [K, M],
            [K, N],
          ],
          ([a, b]) => matmul(a, b, { transposeA: true }),
        ),
    ],
    ...(['float32', 'bfloat16', 'float16'] as const).map(dtype => [
      `${M}×${N}×${K}, frozen ${dtype}`,
      () => run([[M, K]], ([x]) => linear(x, frozen([N, K], dtype))),
    ]),
  ]),
)

const attention: Readonly<Record<string, () => void>> = {
  'attention over a batch': () =>
    run([heads(3, 70, 4), heads(3, 70, 2), heads(3, 70, 2)], ([q, k, v]) =>
      scaledDotProductAttention(q, k, v, GQA),
    ),
  'attention of one entry': () =>
    run([heads(1, 90, 6), heads(1, 90, 2), heads(1, 90, 2)], ([q, k, v]) =>
      scaledDotProductAttention(q, k, v, GQA),
    ),
  'attention with a mask': () =>
    run([heads(3, 70, 4), heads(3, 70, 4), heads(3, 70, 4)], ([q, k, v]) =>
      scaledDotProductAttention(q, k, v, { mask: tensor(values(4900, 2), [70, 70]) }),
    ),
  'rotary embedding of a batch': () =>
    run([heads(3, 200, 8)], ([x]) =>
      rope(x, tensor(values(1640, 1), [205, 8]), tensor(values(1640, 2), [205, 8]), {
        offset: 5,
      }),
    ),
  'rotary embedding of one entry': () =>
    run([heads(1, 600, 7)], ([x]) =>
      rope(x, tensor(values(3630, 1), [605, 6]), tensor(values(3630, 2), [605, 6]), {
        offset: 5,
      }),
    ),
  'rotary embedding by positions': () => {
    for (const [B, T] of [
      [1, 600],
      [3, 200],
    ]) {
      const [cos, sin] = [tensor(values(800, 1), [100, 8]), tensor(values(800, 2), [100, 8])]
      const positions = reshape(whole(600, 100), [B, T])
      run([heads(B, T, 7)], ([x]) => rope(x, cos, sin, { positions }))
    }
  },
}

const rows: Readonly<Record<string, () => void>> = {
  'rms norm': () => run([...ROWS, [203]], ([x, w]) => rmsNorm(x, w)),
  'layer norm': () => run([...ROWS, [203], [203]], ([x, w, b]) => layerNorm(x, w, b)),
  softmax: () => run(ROWS, ([x]) => softmax(x)),
  'log-softmax': () => run(ROWS, ([x]) => logSoftmax(x)),
  'gelu by tanh': () => run(ROWS, ([x]) => gelu(x, { approximate: 'tanh' })),
  swiglu: () => run([...ROWS, ...ROWS], ([gate, up]) => swiglu(gate, up)),
  'swiglu of parts of rows': () =>
    run([[190, 401]], ([x]) => swiglu(slice(x, 1, 3, 203), slice(x, 1, 201, 401))),
  embedding: () => {
    run([[50, 203]], ([weight]) => embedding(whole(401, 50), weight))
    run(ROWS, ([x]) => add(embedding(whole(401, 50), frozen([50, 203], 'bfloat16')), x))
  },
  'cross-entropy': () => {
    for (const reduction of ['mean', 'none'] as const) {
      run(ROWS, ([x]) =>
        crossEntropy(x, whole(401, 203), {
          labelSmoothing: 0.1,
          weight: tensor(values(203, 4).map(Math.abs), [203]),
          reduction,
        }),
      )
    }
  },
  'cross-entropy of a linear layer': () => {
    for (const reduction of ['mean', 'none'] as const) {
      run(
        [
          [900, 80],
          [50, 80],
        ],
        ([x, w]) => linearCrossEntropy(x, w, whole(900, 50), { labelSmoothing: 0.1, reduction }),
      )
    }
  },
  'mean squared error': () => {
    run([...ROWS, ...ROWS], ([x, t]) => mseLoss(x, t))
    run([...ROWS, ...ROWS], ([x, t]) => mseLoss(x, t, { reduction: 'none' }))
  },
  'a bias': () => run([[401, 9], [203, 9], [203]], ([x, w, b]) => linear(x, w, b)),
  'a tensor used twice': () => run(ROWS, ([x]) => mul(x, x)),
  AdamW: optimizing(parameters => new AdamW(parameters, { lr: 0.1 })),
  'AdamW with amsgrad': optimizing(parameters => new AdamW(parameters, { lr: 0.1, amsgrad: true })),
  SGD: optimizing(parameters => new SGD(parameters, { lr: 0.1 })),
  'SGD with momentum': optimizing(parameters => new SGD(parameters, { lr: 0.1, momentum: 0.9 })),
}

describe('parts of kernels', () => {
  afterAll(() => {
    // Every kernel that can be split has been.
    expect(Object.keys(SPLITS).filter(name => !seen.has(name))).toEqual([])
  })

  it.each(Object.entries({ ...matmuls, ...attention, ...rows, ...unary, ...binary }))(
    '%s: as the whole',
    (_name, job) => {
      withBackend(new PartsBackend(seen), job)
    },
  )
})

describe('where parts begin', () => {
  const split = (units: number, grain: number): Split => ({
    count: 0,
    units,
    grain,
    moves: [],
    scratch: -1,
  })

  it.each([
    [1, 1, 2, [0, 1]],
    [2, 1, 2, [0, 1, 2]],
    [4, 1, 2, [0, 1, 2, 3, 4]],
    [16, 1, 2, [0, 1, 2, 9, 16]],
    [64, 4, 2, [0, 4, 8, 36, 64]],
    [62, 4, 2, [0, 4, 8, 36, 62]],
    [16, 1, 3, [0, 1, 2, 4, 8, 12, 16]],
  ])('%i units by %i for %i threads: %j', (units, grain, threads, want) => {
    expect(startsOf(split(units, grain), threads)).toEqual(want)
  })
})
