// Copies between views: y[i…] = x[i…] where each axis of either side has a stride of its own, 0 to
// repeat an element. Permutations, expansions, concatenations, slices, and rows along any axes are
// this copy.

import { indexing as binary } from '#kernels/indexing'
import type { Floats, KernelSet } from '../core/backend.ts'
import type { OpContext } from '../core/op.ts'
import { countOf, type Shape, stridesOf } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'

/** y[yOffset + Σ i·y_] = x[xOffset + Σ i·x_] for all indices below n0, n1, n2, n3. */
export type CopyStrided = (
  x: Floats,
  xOffset: number,
  x0: number,
  x1: number,
  x2: number,
  x3: number,
  y: Floats,
  yOffset: number,
  y0: number,
  y1: number,
  y2: number,
  y3: number,
  n0: number,
  n1: number,
  n2: number,
  n3: number,
) => void

export const strided: KernelSet<{ readonly copy_strided: CopyStrided }> = {
  name: 'copy',
  binary,
  reference: {
    copy_strided(x, xOffset, x0, x1, x2, x3, y, yOffset, y0, y1, y2, y3, n0, n1, n2, n3) {
      for (let i = 0; i < n0; i++) {
        for (let j = 0; j < n1; j++) {
          for (let k = 0; k < n2; k++) {
            for (let l = 0; l < n3; l++) {
              const from = xOffset + i * x0 + j * x1 + k * x2 + l * x3
              y[yOffset + i * y0 + j * y1 + k * y2 + l * y3] = x[from]
            }
          }
        }
      }
    },
  },
}

/** Where the first element of a view lies in its buffer, and how far apart each axis is. */
export interface View {
  readonly buffer: Floats
  readonly offset: number
  readonly strides: readonly number[]
}

/** A whole buffer, row by row. */
export function whole(buffer: Floats, shape: Shape): View {
  return { buffer, offset: 0, strides: stridesOf(shape) }
}

interface Axis {
  size: number
  from: number
  to: number
}

const NO_AXIS: Axis = { size: 1, from: 0, to: 0 }

/** As few axes as describe the same copy: neighbours that continue each other become one. */
function merged(from: View, to: View, shape: Shape): Axis[] {
  const axes: Axis[] = []
  shape.forEach((size, i) => {
    const axis = { size, from: from.strides[i], to: to.strides[i] }
    const before = axes[axes.length - 1]
    if (size === 1) {
      return
    }
    if (before && before.from === size * axis.from && before.to === size * axis.to) {
      axis.size *= before.size
      axes.pop()
    }
    axes.push(axis)
  })
  return axes
}

/** Whether a view of `shape` by `strides` reads its buffer row by row, so that no copy is needed. */
export function inOrder(strides: readonly number[], shape: Shape): boolean {
  const order = stridesOf(shape)
  return shape.every((size, axis) => size === 1 || strides[axis] === order[axis])
}

/** Copies the elements of `from` to `to`, both seen under `shape`. */
export function copyView<K>(context: OpContext<K>, from: View, to: View, shape: Shape): void {
  if (countOf(shape) === 0) {
    return
  }
  const { copy_strided } = context.backend.kernels(strided)
  const axes = merged(from, to, shape)
  // A transposition is fast where the two axes that are contiguous on either side come last.
  const contiguous = axes.findIndex(axis => axis.from === 1)
  if (contiguous >= 0 && contiguous < axes.length - 2) {
    axes.splice(axes.length - 2, 0, ...axes.splice(contiguous, 1))
  }
  while (axes.length < 4) {
    axes.unshift(NO_AXIS)
  }
  const [a, b, c, d] = axes.slice(-4)
  const run = (outer: readonly Axis[], x: number, y: number): void => {
    if (outer.length > 0) {
      const [{ size, from: xStep, to: yStep }, ...inner] = outer
      for (let i = 0; i < size; i++) {
        run(inner, x + i * xStep, y + i * yStep)
      }
      return
    }
    copy_strided(
      from.buffer,
      x,
      a.from,
      b.from,
      c.from,
      d.from,
      to.buffer,
      y,
      a.to,
      b.to,
      c.to,
      d.to,
      a.size,
      b.size,
      c.size,
      d.size,
    )
  }
  run(axes.slice(0, -4), from.offset, to.offset)
}

/** The elements of a tensor of any type, as 32-bit words to be copied. */
export function elementsOf<K>(context: OpContext<K>, x: Tensor): Floats {
  return x.dtype === 'int32' ? context.ints(x) : context.floats(x)
}

/** An output for copied elements: integers stay integers, half precision becomes float32. */
export function emptyLike<K>(context: OpContext<K>, x: Tensor, shape: Shape): Tensor {
  return context.empty(shape, x.dtype === 'int32' ? 'int32' : 'float32')
}
