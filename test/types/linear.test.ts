// What the types say about linear layers: literal sizes come out, and sizes that cannot fit do not compile.
// The compiler checks this file (`npm run typecheck`): an expected error that does not come is one itself.

import { expectTypeOf, test } from 'vitest'
import type { Parameter } from '../../src/core/parameter.ts'
import type { Shape } from '../../src/core/shape.ts'
import type { Tensor } from '../../src/core/tensor.ts'
import { linear } from '../../src/ops/linear.ts'

declare function zeros<const S extends Shape>(shape: S): Tensor<S>
declare const weight: Parameter

test('literal sizes come out', () => {
  const layers = () => ({
    rows: linear(zeros([32, 768]), zeros([256, 768]), zeros([256])),
    batch: linear(zeros([2, 3, 9]), zeros([6, 9])),
    vector: linear(zeros([9]), zeros([6, 9]), undefined),
  })
  type Layers = ReturnType<typeof layers>
  expectTypeOf<Layers['rows']>().toEqualTypeOf<Tensor<readonly [32, 256]>>()
  expectTypeOf<Layers['batch']>().toEqualTypeOf<Tensor<readonly [2, 3, 6]>>()
  expectTypeOf<Layers['vector']>().toEqualTypeOf<Tensor<readonly [6]>>()
})

test('sizes that only the run knows are taken', () => {
  const rows: number = 3
  const layers = () => ({
    rows: linear(zeros([rows, 768]), zeros([256, 768]), zeros([rows])),
    parameter: linear(zeros([4, 768]), weight, weight),
    plain: linear(zeros([1]) as Tensor, zeros([256, 768]), zeros([256])),
  })
  type Layers = ReturnType<typeof layers>
  expectTypeOf<Layers['rows']>().toEqualTypeOf<Tensor<readonly [number, 256]>>()
  expectTypeOf<Layers['parameter']>().toEqualTypeOf<Tensor<Shape>>()
  expectTypeOf<Layers['plain']>().toEqualTypeOf<Tensor<Shape>>()
})

test('sizes that differ do not compile', () => {
  const refused = () => [
    // @ts-expect-error: linear: x has 768 features, the weight takes 512
    linear(zeros([4, 768]), zeros([256, 512])),
    // @ts-expect-error: linear: x has 9 features, the weight takes 6 (W is [O, I], not [I, O])
    linear(zeros([9]), zeros([9, 6])),
    // @ts-expect-error: linear: the weight gives 6 features, the bias has 9
    linear(zeros([2, 9]), zeros([6, 9]), zeros([9])),
  ]
  expectTypeOf(refused).returns.items.toExtend<Tensor>()
  type Call = typeof linear<readonly [4, 768], readonly [256, 512], readonly [9]>
  expectTypeOf<Parameters<Call>[1]>().toEqualTypeOf<
    Tensor<readonly [256, 512]> & 'linear: x has 768 features, the weight takes 512'
  >()
  expectTypeOf<NonNullable<Parameters<Call>[2]>>().toEqualTypeOf<
    Tensor<readonly [9]> & 'linear: the weight gives 256 features, the bias has 9'
  >()
})
