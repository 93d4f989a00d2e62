// Which axes an op works along: `dim` as PyTorch takes it (one axis or a list, negative ones from the
// end, none or an empty list for all), and the shapes that remain.

import { LowrankError } from '../core/errors.ts'
import { countOf, formatShape, normalizeAxis, type Shape } from '../core/shape.ts'

export interface ReductionOptions {
  /** The axes to reduce; all if absent. */
  readonly dim?: number | readonly number[]
  /** Whether reduced axes stay, with size 1. */
  readonly keepdim?: boolean
}

/** The axes that `dim` names, ascending; throws an `argument` error if one is absent or named twice. */
export function axesOf(where: string, shape: Shape, dim: ReductionOptions['dim']): number[] {
  const named = dim === undefined ? [] : typeof dim === 'number' ? [dim] : dim
  if (named.length === 0) {
    return shape.map((_, axis) => axis)
  }
  const axes = named.map(axis => normalizeAxis(where, axis, shape.length))
  const unique = [...new Set(axes)].sort((a, b) => a - b)
  if (unique.length !== axes.length) {
    throw new LowrankError(
      'argument',
      `${where}: an axis is named twice in dim [${named.join(', ')}] of ${formatShape(shape)}`,
    )
  }
  return shape.length === 0 ? [] : unique
}

/** The one axis that `dim` names; throws a `shape` error for a scalar, which has none. */
export function axisOf(where: string, shape: Shape, dim: number): number {
  if (shape.length === 0) {
    throw new LowrankError('shape', `${where}: a scalar has no axes (reshape it to [1])`)
  }
  return normalizeAxis(where, dim, shape.length)
}

/** The shape that is left when `axes` are reduced. */
export function reducedShape(shape: Shape, axes: readonly number[], keepdim = false): number[] {
  return keepdim
    ? shape.map((size, axis) => (axes.includes(axis) ? 1 : size))
    : shape.filter((_, axis) => !axes.includes(axis))
}

/** A shape seen as [outer, size, inner] around one run of axes. */
export interface Split {
  readonly outer: number
  readonly size: number
  readonly inner: number
}

/** Splits a shape around the axes `first` to `last`. */
export function splitAt(shape: Shape, first: number, last: number = first): Split {
  return {
    outer: countOf(shape.slice(0, first)),
    size: countOf(shape.slice(first, last + 1)),
    inner: countOf(shape.slice(last + 1)),
  }
}

/** Throws a `shape` error where there is nothing to choose from: an empty row has no largest element. */
export function refuseEmpty(where: string, shape: Shape, axes: readonly number[]): void {
  if (countOf(axes.map(axis => shape[axis])) === 0) {
    throw new LowrankError(
      'shape',
      `${where}: expected at least one element along dim [${axes.join(', ')}], ` +
        `got ${formatShape(shape)}`,
    )
  }
}
