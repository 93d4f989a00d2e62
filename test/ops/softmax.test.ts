// softmax, logSoftmax and cumsum: any axis, around vectors, masked and large elements.

import { describe, expect, it } from 'vitest'
import { withBackend } from '../../src/core/backend.ts'
import { backward, step } from '../../src/core/tape.ts'
import { tensor } from '../../src/core/tensor.ts'
import { cumsum } from '../../src/ops/cumsum.ts'
import { logSoftmax } from '../../src/ops/log_softmax.ts'
import { softmax } from '../../src/ops/softmax.ts'
import { backends } from '../support/backends.ts'
import { checkOp } from '../support/op.ts'

const SIZES = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33]

describe.each([
  { name: 'softmax', fn: softmax },
  { name: 'logSoftmax', fn: logSoftmax },
  { name: 'cumsum', fn: cumsum },
])('$name', ({ name, fn }) => {
  it.each(SIZES)('along an axis of %i', size => {
    // With one element the gradient of a softmax is all rounding, of terms up to 1.
    const tolerance = 4e-6
    checkOp({ name, fn: x => fn(x), inputs: [{ shape: [3, size] }], tolerance })
    checkOp({ name, fn: x => fn(x, { dim: 0 }), inputs: [{ shape: [size, 3] }], tolerance })
    checkOp({ name, fn: x => fn(x, { dim: 0 }), inputs: [{ shape: [size, 3, 2] }], tolerance })
    const middle = { inputs: [{ shape: [2, size, 3] }], wantShape: [2, size, 3], tolerance }
    checkOp({ name, fn: x => fn(x, { dim: 1 }), ...middle })
    checkOp({ name, fn: x => fn(x, { dim: -2 }), ...middle, gradcheck: false })
  })

  it('of nothing is nothing, of a scalar a scalar', () => {
    checkOp({ name, fn: x => fn(x), inputs: [{ shape: [0, 3] }], wantShape: [0, 3] })
    checkOp({ name, fn: x => fn(x), inputs: [{ shape: [3, 0] }], wantShape: [3, 0] })
    const want = { softmax: 1, logSoftmax: 0, cumsum: 3 }[name] as number
    checkOp({
      name,
      fn: x => fn(x),
      inputs: [{ shape: [], data: [3] }],
      wantShape: [],
      want: [want],
    })
  })

  it('names an axis that does not exist', () => {
    expect(() => fn(tensor([1], [1]), { dim: 1 })).toThrow(`${name}: axis 1 does not exist`)
    expect(() => fn(tensor([1], []), { dim: 1 })).toThrow(`${name}: axis 1 does not exist`)
  })
})

describe('values', () => {
  it('are those of the definition', () => {
    const x = [1, 2, 3, -1, 0.5, 0]
    const sums = [x.slice(0, 3), x.slice(3)].map(row => row.reduce((a, b) => a + Math.exp(b), 0))
    const want = x.map((value, i) => Math.exp(value) / sums[Math.floor(i / 3)])
    const inputs = [{ shape: [2, 3], data: x }]
    checkOp({ name: 'softmax', fn: a => softmax(a), inputs, want })
    checkOp({ name: 'logSoftmax', fn: a => logSoftmax(a), inputs, want: want.map(Math.log) })
    checkOp({ name: 'cumsum', fn: a => cumsum(a, { dim: 0 }), inputs, want: [1, 2, 3, 0, 2.5, 3] })
  })
})

describe.each(backends)('on $name', ({ make }) => {
  const low = Number.NEGATIVE_INFINITY

  it('masked elements get 0 and no gradient, a masked row NaN', () => {
    withBackend(make(), () => {
      const x = tensor([0, low, 0, low, low, low], [2, 3], { requiresGrad: true })
      const y = step(() => {
        const result = softmax(x)
        backward(result, tensor([1, 5, 3, 0, 0, 0], [2, 3]))
        return result
      })
      const nan = Number.NaN
      expect([...y.dataSync()]).toEqual([0.5, 0, 0.5, nan, nan, nan])
      expect([...(x.grad?.dataSync() ?? [])].slice(0, 3)).toEqual([-0.5, 0, 0.5])
      const rows = logSoftmax(tensor([low, low], [1, 2]))
      expect([...rows.dataSync()]).toEqual([nan, nan])
    })
  })

  it('large elements do not overflow', () => {
    withBackend(make(), () => {
      expect([...softmax(tensor([3e4, 3e4, -3e4], [3])).dataSync()]).toEqual([0.5, 0.5, 0])
      const logs = logSoftmax(tensor([3e4, 0], [2])).dataSync()
      expect([...logs]).toEqual([0, -3e4])
    })
  })
})
