// What the types say about products: literal sizes come out, and sizes that cannot fit do not compile. The
// compiler checks this file (`npm run typecheck`): an expected error that does not come is one itself.

import { expectTypeOf, test } from 'vitest'
import type { Shape } from '../../src/core/shape.ts'
import { type Tensor, tensor } from '../../src/core/tensor.ts'
import { matmul } from '../../src/ops/matmul.ts'

declare function zeros<const S extends Shape>(shape: S): Tensor<S>

test('literal sizes come out', () => {
  expectTypeOf(tensor([1, 2], [2, 1])).toEqualTypeOf<Tensor<readonly [2, 1]>>()
  const products = () => ({
    matrices: matmul(zeros([4, 768]), zeros([768, 256])),
    batch: matmul(zeros([2, 3, 4, 9]), zeros([9, 5])),
    column: matmul(zeros([2, 5, 9]), zeros([9])),
    row: matmul(zeros([9]), zeros([9, 4])),
    dot: matmul(zeros([9]), zeros([9])),
    batches: matmul(zeros([2, 1, 3, 9]), zeros([5, 9, 4])),
    transposed: matmul(zeros([4, 768]), zeros([256, 768]), { transposeB: true }),
  })
  type Products = ReturnType<typeof products>
  expectTypeOf<Products['matrices']>().toEqualTypeOf<Tensor<readonly [4, 256]>>()
  expectTypeOf<Products['batch']>().toEqualTypeOf<Tensor<readonly [2, 3, 4, 5]>>()
  expectTypeOf<Products['column']>().toEqualTypeOf<Tensor<readonly [2, 5]>>()
  expectTypeOf<Products['row']>().toEqualTypeOf<Tensor<readonly [4]>>()
  expectTypeOf<Products['dot']>().toEqualTypeOf<Tensor<readonly []>>()
  expectTypeOf<Products['batches']>().toEqualTypeOf<Tensor<Shape>>()
  expectTypeOf<Products['transposed']>().toEqualTypeOf<Tensor<Shape>>()
})

test('sizes that only the run knows are taken', () => {
  const rows: number = 3
  const products = () => ({
    rows: matmul(zeros([rows, 768]), zeros([768, 256])),
    inner: matmul(zeros([4, rows]), zeros([768, 256])),
    plain: matmul(zeros([4, 5]) as Tensor, zeros([768, 256])),
    both: matmul(zeros([4, 5]) as Tensor, zeros([1]) as Tensor),
  })
  type Products = ReturnType<typeof products>
  expectTypeOf<Products['rows']>().toEqualTypeOf<Tensor<readonly [number, 256]>>()
  expectTypeOf<Products['inner']>().toEqualTypeOf<Tensor<readonly [4, 256]>>()
  expectTypeOf<Products['plain']>().toEqualTypeOf<Tensor<Shape>>()
  expectTypeOf<Products['both']>().toEqualTypeOf<Tensor<Shape>>()
})

test('inner sizes that differ do not compile', () => {
  const refused = () => [
    // @ts-expect-error: matmul: inner sizes differ: 768 and 512
    matmul(zeros([4, 768]), zeros([512, 256])),
    // @ts-expect-error: matmul: inner sizes differ: 9 and 8
    matmul(zeros([2, 3, 4, 9]), zeros([8, 5])),
    // @ts-expect-error: matmul: inner sizes differ: 9 and 8
    matmul(zeros([3, 4, 9]), zeros([3, 8, 5])),
    // @ts-expect-error: matmul: inner sizes differ: 9 and 5
    matmul(zeros([4, 9]), zeros([5])),
    // @ts-expect-error: matmul: inner sizes differ: 4 and 9
    matmul(zeros([4]), zeros([9, 4])),
  ]
  expectTypeOf(refused).returns.items.toExtend<Tensor>()
  type Refusal = Parameters<typeof matmul<readonly [4, 768], readonly [512, 256]>>[1]
  expectTypeOf<Refusal>().toEqualTypeOf<
    Tensor<readonly [512, 256]> & 'matmul: inner sizes differ: 768 and 512'
  >()
})
