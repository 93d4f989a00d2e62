// A convolution of images: x [B, C, H, W], W [O, C/groups, kh, kw], b [O]. W and b start uniform in
// ±1/√(C/groups·kh·kw). An update is a convolution with A [R, C, kh, kw], which keeps kernel, stride and
// padding, then one of 1 × 1 with B [O, R/groups, 1, 1]; like PEFT's, it knows zero padding only.
// Where the base pads otherwise, its border is written out first (`torch.nn.Conv2d`, `padding_mode`).

import { LowrankError } from '../core/errors.ts'
import { Parameter } from '../core/parameter.ts'
import type { Shape } from '../core/shape.ts'
import { type Tensor, tensor } from '../core/tensor.ts'
import type { Pair } from '../ops/conv_shape.ts'
import { conv2d } from '../ops/conv2d.ts'
import { indexSelect } from '../ops/index_select.ts'
import { linear } from '../ops/linear.ts'
import type { LowRank } from '../ops/lora_linear.ts'
import { mul } from '../ops/mul.ts'
import { reshape } from '../ops/reshape.ts'
import type { Adaptable, FactorShapes } from './adaptable.ts'
import { type LinearOptions, uniformDraw } from './linear.ts'
import { Module } from './module.ts'
import { updatedInParts } from './parts.ts'

export type PaddingMode = 'zeros' | 'reflect' | 'replicate' | 'circular'

export interface Conv2dModuleOptions extends LinearOptions {
  readonly stride?: Pair
  readonly padding?: Pair
  readonly dilation?: Pair
  readonly groups?: number
  /** What lies outside the image; zeros if absent. */
  readonly paddingMode?: PaddingMode
}

type Two = readonly [height: number, width: number]

function twoOf(pair: Pair): Two {
  return typeof pair === 'number' ? [pair, pair] : [pair[0], pair[1]]
}

/** Which of `size` elements lies at place `i`, counted from the first, perhaps outside. */
const PLACES: Readonly<Record<Exclude<PaddingMode, 'zeros'>, (i: number, size: number) => number>> =
  {
    reflect: (i, size) => size - 1 - Math.abs(size - 1 - Math.abs(i)),
    replicate: (i, size) => Math.min(Math.max(i, 0), size - 1),
    circular: (i, size) => (i + size) % size,
  }

/** x with `padding` more elements on either side of an axis. */
function padded(x: Tensor, axis: number, padding: number, mode: keyof typeof PLACES): Tensor {
  const size = x.shape[axis]
  const length = size + 2 * padding
  const places = Array.from({ length }, (_, i) => PLACES[mode](i - padding, size))
  return indexSelect(x, axis, tensor(places, [length], { dtype: 'int32', backend: x.backend }))
}

function checkGroups({ groups, inChannels, outChannels }: Conv2d): void {
  const fits = groups > 0 && inChannels % groups === 0 && outChannels % groups === 0
  if (!Number.isInteger(groups) || !fits) {
    throw new LowrankError(
      'argument',
      `Conv2d: expected groups that divide ${inChannels} and ${outChannels} channels, got ${groups}`,
    )
  }
}

/**
 * A convolution. Throws an `argument` error for groups that do not divide the channels.
 *
 * @example
 * ```ts
 * import { Conv2d, tensor } from 'lowrank'
 *
 * const layer = new Conv2d(3, 8, 3, { padding: 1 })
 * console.log(layer.forward(tensor(new Float32Array(48), [1, 3, 4, 4])).shape) // [1, 8, 4, 4]
 * ```
 */
export class Conv2d extends Module implements Adaptable {
  readonly inChannels: number
  readonly outChannels: number
  readonly kernelSize: Two
  readonly stride: Two
  readonly padding: Two
  readonly dilation: Two
  readonly groups: number
  readonly paddingMode: PaddingMode
  weight: Parameter
  bias: Parameter | undefined

  constructor(
    inChannels: number,
    outChannels: number,
    kernelSize: Pair,
    options: Conv2dModuleOptions = {},
  ) {
    super()
    this.inChannels = inChannels
    this.outChannels = outChannels
    this.kernelSize = twoOf(kernelSize)
    this.stride = twoOf(options.stride ?? 1)
    this.padding = twoOf(options.padding ?? 0)
    this.dilation = twoOf(options.dilation ?? 1)
    this.groups = options.groups ?? 1
    this.paddingMode = options.paddingMode ?? 'zeros'
    checkGroups(this)
    const shape = [outChannels, inChannels / this.groups, ...this.kernelSize]
    const depth = shape[1] * shape[2] * shape[3]
    const bound = depth > 0 ? 1 / Math.sqrt(depth) : 0
    this.weight =
      options.weight ?? new Parameter(uniformDraw(outChannels * depth, bound), shape, options)
    this.bias =
      options.bias === false
        ? undefined
        : new Parameter(uniformDraw(outChannels, bound), [outChannels], options)
  }

  get kind(): string {
    return 'conv2d'
  }

  get inFeatures(): number {
    return this.inChannels * this.kernelSize[0] * this.kernelSize[1]
  }

  get outFeatures(): number {
    return this.outChannels
  }

  get perOutput(): Shape {
    return [1, this.outChannels, 1, 1]
  }

  refusal(r: number): string | undefined {
    if (r % this.groups !== 0) {
      return `cannot divide a rank of ${r} into its ${this.groups} groups`
    }
    const [height, width] = this.kernelSize
    const dilated = (height > 1 && this.dilation[0] > 1) || (width > 1 && this.dilation[1] > 1)
    return dilated ? 'is a dilated convolution, and PEFT gives updates no dilation' : undefined
  }

  forward(x: Tensor): Tensor {
    return this.#convolved(x, this.weight, this.bias)
  }

  #convolved(x: Tensor, weight: Tensor, bias: Tensor | undefined): Tensor {
    const { stride, padding, dilation, groups, paddingMode: mode } = this
    if (mode === 'zeros') {
      return conv2d(x, weight, bias, { stride, padding, dilation, groups })
    }
    const wide = padded(padded(x, 2, padding[0], mode), 3, padding[1], mode)
    return conv2d(wide, weight, bias, { stride, dilation, groups })
  }

  factorShapes(r: number): FactorShapes {
    return {
      A: [r, this.inChannels, ...this.kernelSize],
      B: [this.outChannels, r / this.groups, 1, 1],
    }
  }

  updated(
    x: Tensor,
    updates: readonly LowRank[],
    weight: Tensor | undefined,
    bias: Tensor | undefined,
  ): Tensor {
    const { stride, padding, groups } = this
    const base = weight && this.#convolved(x, weight, bias)
    return updatedInParts(x, updates, base, (x, { A, B, bias, scale }) =>
      mul(conv2d(conv2d(x, A, undefined, { stride, padding }), B, bias, { groups }), scale),
    )
  }

  project(A: Tensor, weight: Tensor): Tensor {
    return linear(reshape(A, [A.shape[0], this.inFeatures]), this.oriented(weight))
  }

  oriented(weight: Tensor): Tensor {
    return reshape(weight, [this.outChannels, -1])
  }

  arranged(matrix: Tensor): Tensor {
    return reshape(matrix, [this.outChannels, -1, ...this.kernelSize])
  }

  like(weight: Parameter, bias: Parameter | undefined): Conv2d {
    const { inChannels, outChannels, kernelSize } = this
    const { stride, padding, dilation, groups, paddingMode } = this
    const options = { stride, padding, dilation, groups, paddingMode, weight, bias: false }
    const layer = new Conv2d(inChannels, outChannels, kernelSize, options)
    layer.bias = bias
    return layer
  }
}
