// How ops of two operands that broadcast reach their kernels: one call where strides allow it, and no
// more kept for backward than it reads.

import { describe, expect, it } from 'vitest'
import { reference } from '../../src/backends/reference/index.ts'
import { currentBackend, withBackend } from '../../src/core/backend.ts'
import { OpContext } from '../../src/core/op.ts'
import { scoped } from '../../src/core/scope.ts'
import { tensor } from '../../src/core/tensor.ts'
import { addOp } from '../../src/ops/add.ts'
import type { BinaryOp } from '../../src/ops/binary.ts'
import { broadcast } from '../../src/ops/broadcast.ts'
import { divOp } from '../../src/ops/div.ts'
import { mulOp } from '../../src/ops/mul.ts'
import type { SumKernels } from '../../src/ops/sum.ts'

describe('the walk over broadcast operands', () => {
  /** Rows and columns of each call of a kernel of two operands. */
  function callsFor(
    a: readonly number[],
    b: readonly number[],
    shape: readonly number[],
  ): (readonly number[])[] {
    return withBackend(reference(), () =>
      scoped(() => {
        const context = new OpContext(currentBackend(), { name: 'walk', reference: {} }, [])
        const calls: (readonly number[])[] = []
        const operands = [context.filled(a, 1), context.filled(b, 1)]
        broadcast(
          context,
          (...parameters) => calls.push(parameters.slice(-2) as number[]),
          operands,
          shape,
        )
        return calls
      }),
    )
  }

  it('is one call for equal shapes, scalars, vectors and columns', () => {
    expect(callsFor([2, 3, 4], [2, 3, 4], [2, 3, 4])).toEqual([[1, 24]])
    expect(callsFor([2, 3, 4], [], [2, 3, 4])).toEqual([[1, 24]])
    expect(callsFor([2, 3, 4], [1, 1, 1], [2, 3, 4])).toEqual([[1, 24]])
    expect(callsFor([2, 3, 4], [4], [2, 3, 4])).toEqual([[6, 4]])
    expect(callsFor([2, 3, 4], [3, 4], [2, 3, 4])).toEqual([[2, 12]])
    expect(callsFor([2, 3, 4], [2, 3, 1], [2, 3, 4])).toEqual([[6, 4]])
    expect(callsFor([2, 1, 4], [2, 1, 1], [2, 1, 4])).toEqual([[2, 4]])
  })

  it('is a call for each index of the axes beyond two', () => {
    expect(callsFor([2, 1, 3, 1], [5, 1, 4], [2, 5, 3, 4])).toHaveLength(10)
    expect(callsFor([2, 0], [1], [2, 0])).toEqual([])
  })
})

describe('what is kept for backward', () => {
  it.each([
    { op: addOp, trained: [true, true], keeps: [false, false] },
    { op: mulOp, trained: [true, true], keeps: [true, true] },
    { op: mulOp, trained: [true, false], keeps: [false, true] },
    { op: mulOp, trained: [false, true], keeps: [true, false] },
    { op: mulOp, trained: [false, false], keeps: [false, false] },
    { op: divOp, trained: [true, false], keeps: [false, true] },
    { op: divOp, trained: [false, true], keeps: [true, true] },
  ])('is what $op.definition.name of $trained reads: $keeps', ({ op, trained, keeps }) => {
    const kept = withBackend(reference(), () =>
      scoped(() => {
        const [a, b] = [tensor([1, 2], [2]), tensor([3, 4], [2])]
        const { definition } = op as BinaryOp<SumKernels>
        const context = new OpContext(currentBackend(), definition, trained)
        const { saved } = definition.forward(context, [a, b], {})
        return [saved.a === a, saved.b === b]
      }),
    )
    expect(kept).toEqual(keeps)
  })
})
