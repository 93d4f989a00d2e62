// Kernels whose operands broadcast by NumPy's rule, and the way back: the gradient of an operand that
// was stretched is the sum over the places it served.
//
// The axes of a result are merged until neighbours differ in how some operand repeats along them; the
// last two are rows and columns of a kernel, calls walk the others. Same shapes and scalars are one
// row of everything, a vector [C] beside [..., C] is one call of many rows.

import type { Floats, Ints } from '../core/backend.ts'
import { LowrankError } from '../core/errors.ts'
import type { OpContext } from '../core/op.ts'
import { countOf, type Shape, sameShape } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import { expandedStrides, repeatedAxes } from './expand.ts'
import { elementsOf } from './strided.ts'
import { type SumKernels, sumOver, sumReference } from './sum.ts'

/**
 * y[yOffset + r·cols + c] = f(a[aOffset + r·aRow + c·aCol], b[…], …) for r < rows, c < cols. The
 * parameters are four per operand (buffer, offset, row stride, column stride), then y, yOffset, rows,
 * cols. Column strides are 0 or 1.
 */
export type BroadcastKernel = (...parameters: (Floats | Ints | number)[]) => void

/** The loops of a formula of as many operands as it has parameters. */
function broadcastLoops(formula: Formula): BroadcastKernel {
  const arity = formula.length
  return (...parameters) => {
    const [y, yOffset, rows, cols] = parameters.slice(4 * arity) as [Floats, number, number, number]
    const operands = Array.from({ length: arity }, (_, i) => {
      const [x, offset, row, col] = parameters.slice(4 * i) as [Floats, number, number, number]
      return (r: number, c: number) => x[offset + r * row + c * col]
    })
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < cols; c++) {
        y[yOffset + r * cols + c] = formula(...operands.map(at => at(r, c)))
      }
    }
  }
}

/** Throws a `dtype` error for integers: kernels would take their bits for floats. */
export function refuseIntegers(where: string, operands: readonly Tensor[]): void {
  for (const { dtype } of operands) {
    if (dtype === 'int32') {
      throw new LowrankError('dtype', `${where}: expected floats, got ${dtype}`)
    }
  }
}

/** What one element of the result is, of one element of each operand. */
export type Formula = (...operands: number[]) => number

/** Kernels of formulas, by their names. */
export type Formulas<Name extends string> = Readonly<Record<Name, Formula>>

/** Reference loops of kernels that broadcast, and of the sum that leads back. */
export function broadcastReference<K extends SumKernels>(
  formulas: Formulas<Exclude<keyof K & string, keyof SumKernels>>,
): K {
  const loops = Object.entries<Formula>(formulas).map(([name, formula]) => {
    return [name, broadcastLoops(formula)]
  })
  return { ...sumReference, ...Object.fromEntries(loops) } as K
}

interface Axis {
  size: number
  /** How far each operand moves along it: 0 where it repeats. */
  readonly strides: readonly number[]
}

/** As few axes as describe the same walk. */
function mergedAxes(shape: Shape, shapes: readonly Shape[]): Axis[] {
  const strides = shapes.map(from => expandedStrides(from, shape))
  const axes: Axis[] = []
  shape.forEach((size, i) => {
    const axis = { size, strides: strides.map(operand => operand[i]) }
    const before = axes[axes.length - 1]
    if (size === 1) {
      return
    }
    if (before?.strides.every((stride, k) => stride === size * axis.strides[k])) {
      axis.size *= before.size
      axes.pop()
    }
    axes.push(axis)
  })
  return axes
}

/** Where each operand begins in the call of that number, counted over the outer axes. */
function offsetsAt(axes: readonly Axis[], call: number, operands: number): number[] {
  const offsets = new Array<number>(operands).fill(0)
  for (let i = axes.length - 1; i >= 0; i--) {
    const { size, strides } = axes[i]
    const index = call % size
    call = (call - index) / size
    strides.forEach((stride, k) => {
      offsets[k] += index * stride
    })
  }
  return offsets
}

const stepOf = (x: Tensor): number => (x.size === 1 ? 0 : 1)

/** Same shapes and scalars: the case that must not cost more than its kernel, so two need no array. */
function oneRow<K>(
  context: OpContext<K>,
  kernel: BroadcastKernel,
  operands: readonly Tensor[],
  y: Floats,
  count: number,
): void {
  const [a, b] = operands
  if (operands.length === 2) {
    const [left, right] = [elementsOf(context, a), elementsOf(context, b)]
    kernel(left, 0, 0, stepOf(a), right, 0, 0, stepOf(b), y, 0, 1, count)
    return
  }
  const inputs = operands.flatMap(x => [elementsOf(context, x), 0, 0, stepOf(x)])
  kernel(...inputs, y, 0, 1, count)
}

/** y of `shape` = the kernel's formula of the operands, each of which broadcasts to `shape`. */
export function broadcastInto<K>(
  context: OpContext<K>,
  kernel: BroadcastKernel,
  operands: readonly Tensor[],
  y: Floats,
  shape: Shape,
): void {
  if (countOf(shape) === 0) {
    return
  }
  if (operands.every(x => x.size === 1 || sameShape(x.shape, shape))) {
    oneRow(context, kernel, operands, y, countOf(shape))
    return
  }
  const none: Axis = { size: 1, strides: operands.map(() => 0) }
  const outer = mergedAxes(
    shape,
    operands.map(x => x.shape),
  )
  const cols = outer.pop() ?? none
  const rows = outer.pop() ?? none
  const buffers = operands.map(x => elementsOf(context, x))
  const calls = countOf(outer.map(axis => axis.size))
  for (let call = 0; call < calls; call++) {
    const offsets = offsetsAt(outer, call, operands.length)
    const inputs = buffers.flatMap((x, k) => [x, offsets[k], rows.strides[k], cols.strides[k]])
    kernel(...inputs, y, call * rows.size * cols.size, rows.size, cols.size)
  }
}

/** A new tensor of `shape` from the operands. */
export function broadcast<K>(
  context: OpContext<K>,
  kernel: BroadcastKernel,
  operands: readonly Tensor[],
  shape: Shape,
): Tensor {
  const y = context.empty(shape)
  broadcastInto(context, kernel, operands, context.floats(y), shape)
  return y
}

/** The gradient of an operand of `shape` from that of what it was stretched to. */
export function sumTo<K extends SumKernels>(
  context: OpContext<K>,
  gradient: Tensor,
  shape: Shape,
): Tensor {
  if (sameShape(gradient.shape, shape)) {
    return gradient
  }
  const axes = repeatedAxes(shape, gradient.shape)
  const sum = context.empty(shape)
  sumOver(context, context.floats(gradient), gradient.shape, axes, context.floats(sum), 1)
  return sum
}
