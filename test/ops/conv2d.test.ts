// Convolution: kernels, strides, padding, dilation and groups against a direct sum, its gradients, and
// images whose patches are worked on in parts.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { reference } from '../../src/backends/reference/index.ts'
import { withBackend } from '../../src/core/backend.ts'
import { Random } from '../../src/core/rng.ts'
import { backward, step } from '../../src/core/tape.ts'
import { type Tensor, tensor } from '../../src/core/tensor.ts'
import { type Conv2dOptions, conv2d } from '../../src/ops/conv2d.ts'
import { backends } from '../support/backends.ts'
import { scaledError } from '../support/fixture.ts'
import { checkOp } from '../support/op.ts'

const random = new Random(61, 'conv2d')
const draws = (count: number): Float32Array =>
  Float32Array.from({ length: count }, () => random.uniform() * 2 - 1)

interface Case {
  readonly x: [number, number, number, number]
  readonly weight: [number, number, number, number]
  readonly stride: [number, number]
  readonly padding: [number, number]
  readonly dilation: [number, number]
  readonly groups: number
}

/** The sum of the definition, one output at a time. */
function direct(x: ArrayLike<number>, w: ArrayLike<number>, shape: Case): number[] {
  const [B, C, H, W] = shape.x
  const [O, I, kh, kw] = shape.weight
  const { stride, padding, dilation, groups } = shape
  const [OH, OW] = [0, 1].map(axis => {
    const reach = dilation[axis] * (shape.weight[axis + 2] - 1) + 1
    return Math.floor((shape.x[axis + 2] + 2 * padding[axis] - reach) / stride[axis]) + 1
  })
  return Array.from({ length: B * O * OH * OW }, (_, at) => {
    const [s, r, o] = [at % OW, Math.floor(at / OW) % OH, Math.floor(at / OW / OH) % O]
    const b = Math.floor(at / OW / OH / O)
    let sum = 0
    for (let tap = 0; tap < I * kh * kw; tap++) {
      const [i, j, c] = [Math.floor(tap / kw) % kh, tap % kw, Math.floor(tap / kw / kh)]
      const h = r * stride[0] - padding[0] + i * dilation[0]
      const column = s * stride[1] - padding[1] + j * dilation[1]
      if (h >= 0 && h < H && column >= 0 && column < W) {
        const channel = Math.floor(o / (O / groups)) * I + c
        sum += w[o * I * kh * kw + tap] * x[((b * C + channel) * H + h) * W + column]
      }
    }
    return sum
  })
}

function check(name: string, shape: Case, gradcheck: boolean): void {
  const [x, weight] = [shape.x, shape.weight].map(sizes => draws(sizes.reduce((a, b) => a * b, 1)))
  const { stride, padding, dilation, groups } = shape
  checkOp({
    name,
    fn: (image, w) => conv2d(image, w, undefined, { stride, padding, dilation, groups }),
    inputs: [
      { shape: shape.x, data: x },
      { shape: shape.weight, data: weight },
    ],
    want: direct(x, weight, shape),
    tolerance: 1e-5,
    gradcheck: gradcheck ? {} : false,
  })
}

const plain: Case = {
  x: [2, 2, 5, 6],
  weight: [3, 2, 3, 2],
  stride: [1, 1],
  padding: [0, 0],
  dilation: [1, 1],
  groups: 1,
}

describe('conv2d', () => {
  it.each([
    ['plain', {}],
    ['padding', { padding: [2, 1] }],
    ['more padding than kernel', { padding: [3, 4] }],
    ['stride', { stride: [2, 3], padding: [1, 1] }],
    ['dilation', { dilation: [2, 3], padding: [1, 2] }],
    ['one by one', { weight: [4, 2, 1, 1] }],
    ['one column wide', { x: [1, 2, 5, 1], weight: [3, 2, 3, 1] }],
    ['groups', { x: [2, 4, 4, 4], weight: [6, 2, 2, 2], groups: 2 }],
    ['depthwise', { x: [1, 3, 4, 4], weight: [3, 1, 3, 3], groups: 3, padding: [1, 1] }],
    ['patches of a vision transformer', { x: [1, 3, 8, 8], weight: [5, 3, 4, 4], stride: [4, 4] }],
    ['no images', { x: [0, 2, 5, 6] }],
  ] as [string, Partial<Case>][])('%s', (name, change) => {
    check(name, { ...plain, ...change }, true)
  })

  it.each([1, 2, 3, 4, 5, 7, 8, 9, 13])('%i columns, padded', W => {
    check('widths', { ...plain, x: [1, 1, 2, W], weight: [2, 1, 2, 3], padding: [1, 2] }, W < 8)
  })

  it('adds a bias, and gives its gradient', () => {
    checkOp({
      name: 'bias',
      fn: (x, weight, bias) => conv2d(x, weight, bias, { padding: 1 }),
      inputs: [{ shape: [2, 2, 4, 3] }, { shape: [3, 2, 2, 2] }, { shape: [3] }],
      wantShape: [2, 3, 5, 4],
      tolerance: 1e-5,
    })
  })

  it.each([0, 1, 2])('gives the gradient of input %i alone', needed => {
    const inputs = [{ shape: [1, 2, 4, 4] }, { shape: [2, 2, 3, 3] }, { shape: [2] }]
    checkOp({
      name: 'one gradient',
      fn: (x, weight, bias) => conv2d(x, weight, bias),
      inputs: inputs.map((input, i) => ({ ...input, constant: i !== needed })),
      tolerance: 1e-5,
    })
  })

  it('agrees with the direct sum for random sizes', () => {
    const pair = (min: number, max: number) =>
      fc.tuple(fc.integer({ min, max }), fc.integer({ min, max }))
    fc.assert(
      fc.property(
        fc.record({
          size: pair(5, 9),
          kernel: pair(1, 3),
          stride: pair(1, 3),
          padding: pair(0, 2),
          dilation: pair(1, 2),
          groups: fc.integer({ min: 1, max: 2 }),
          I: fc.integer({ min: 1, max: 2 }),
        }),
        ({ size, kernel, groups, I, ...rest }) => {
          check(
            'random',
            { x: [2, I * groups, ...size], weight: [2 * groups, I, ...kernel], groups, ...rest },
            false,
          )
        },
      ),
      { numRuns: 60 },
    )
  })

  // 27 · 210 columns an output row: five parts of 185 rows at most.
  it.each(backends.filter(({ name }) => name !== 'reference'))(
    'works through a large image in parts on $name',
    ({ make }) => {
      const [H, W] = [300, 210]
      const [image, kernel] = [draws(3 * H * W), draws(2 * 27)]
      const dy = draws(2 * H * W)
      const run = (): { y: Tensor; x: Tensor; w: Tensor } => {
        const x = tensor(image, [1, 3, H, W], { requiresGrad: true })
        const w = tensor(kernel, [2, 3, 3, 3], { requiresGrad: true })
        const y = step(() => {
          const result = conv2d(x, w, undefined, { padding: 1 })
          backward(result, tensor(dy, [1, 2, H, W]))
          return result
        })
        return { y, x, w }
      }
      const want = withBackend(reference(), run)
      const backend = make()
      const got = withBackend(backend, run)
      expect(scaledError(got.y.dataSync(), want.y.dataSync())).toBeLessThan(1e-5)
      for (const name of ['x', 'w'] as const) {
        const [a, b] = [got[name].grad?.dataSync() ?? [], want[name].grad?.dataSync() ?? [0]]
        expect(scaledError(a, b), name).toBeLessThan(1e-5)
      }
      // A part's columns, the scratch of a product, the images; all columns would be 6.8 MB.
      expect(backend.memory().peak).toBeLessThan(5.6 * 1048576 + 12 * H * W * 4)
    },
  )

  it('says what does not fit', () => {
    const x = tensor(draws(32), [1, 2, 4, 4])
    const weight = tensor(draws(12), [2, 1, 2, 3])
    const refuses = (options: Conv2dOptions, w: Tensor = weight) =>
      expect(() => conv2d(x, w, undefined, options))
    refuses({}).toThrow(
      'conv2d: x has 2 channels, the weight takes 1 and gives 2 in 1 groups ' +
        '(expected C = I · groups, and O a multiple of groups)',
    )
    refuses({ groups: 2, dilation: 4 }).toThrow(
      'conv2d: the height of x, 4 with 0 on either side, is less than the 5 that the kernel covers',
    )
    refuses({ groups: 2, stride: 0 }).toThrow(
      'conv2d: stride must be one or two whole numbers from 1 up, got 0',
    )
    for (const stride of [[1], [1, 1, 1]]) {
      refuses({ groups: 2, stride: stride as unknown as [number, number] }).toThrow(
        `conv2d: stride must be one or two whole numbers from 1 up, got [${stride}]`,
      )
    }
    refuses({ groups: 2 }, tensor(draws(18), [3, 1, 2, 3])).toThrow('gives 3 in 2 groups')
    refuses({ groups: 2 }, tensor([], [2, 1, 0, 3])).toThrow('that the kernel covers')
    refuses({ groups: 2, padding: [1, -1] }).toThrow(
      'conv2d: padding must be one or two whole numbers from 0 up, got [1,-1]',
    )
    expect(() => conv2d(x, weight, tensor(draws(3), [3]), { groups: 2 })).toThrow(
      'conv2d: bias: expected [O] with O = 2, got [3]',
    )
  })
})
