// Shapes: sizes, row-major strides, broadcasting by NumPy's rule.

import { LowrankError } from './errors.ts'

export type Shape = readonly number[]

/** The number of elements; 1 for a scalar's empty shape. */
export function countOf(shape: Shape): number {
  let count = 1
  for (const size of shape) {
    count *= size
  }
  return count
}

export function formatShape(shape: Shape): string {
  return `[${shape.join(', ')}]`
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((size, i) => size === b[i])
}

/** Row-major strides in elements. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length)
  let stride = 1
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = stride
    stride *= shape[i]
  }
  return strides
}

/** The shape two operands broadcast to: aligned at the right, a size of 1 stretches. */
export function broadcastShapes(where: string, a: Shape, b: Shape): number[] {
  const rank = Math.max(a.length, b.length)
  const result = new Array<number>(rank)
  for (let i = 1; i <= rank; i++) {
    const sizeA = i > a.length ? 1 : a[a.length - i]
    const sizeB = i > b.length ? 1 : b[b.length - i]
    if (sizeA !== sizeB && sizeA !== 1 && sizeB !== 1) {
      throw new LowrankError(
        'shape',
        `${where}: shapes do not broadcast: ${formatShape(a)} and ${formatShape(b)} ` +
          `(sizes ${sizeA} and ${sizeB} at axis ${-i})`,
      )
    }
    result[rank - i] = sizeA === 1 ? sizeB : sizeA
  }
  return result
}

/** An axis counted from the front; negative ones count from the end, as in PyTorch. */
export function normalizeAxis(where: string, axis: number, rank: number): number {
  const normalized = axis < 0 ? axis + rank : axis
  if (!Number.isInteger(axis) || normalized < 0 || normalized >= Math.max(rank, 1)) {
    throw new LowrankError(
      'argument',
      `${where}: axis ${axis} does not exist: the tensor has ${rank} axes`,
    )
  }
  return normalized
}

export function checkShape(where: string, shape: Shape): void {
  if (!shape.every(size => Number.isInteger(size) && size >= 0)) {
    throw new LowrankError(
      'shape',
      `${where}: sizes must be whole numbers from 0 up, got ${formatShape(shape)}`,
    )
  }
}
