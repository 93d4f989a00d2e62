// The sizes of a convolution: what its options mean, that operands fit, and the size of the output.

import { dims } from '../core/dims.ts'
import { LowrankError } from '../core/errors.ts'
import type { Tensor } from '../core/tensor.ts'

/** One number for both axes, or one for rows and one for columns. */
export type Pair = number | readonly [height: number, width: number]

export interface Conv2dOptions {
  /** 1 if absent. */
  readonly stride?: Pair
  /** Zeros around the image; 0 if absent. */
  readonly padding?: Pair
  /** The distance between the elements of the kernel; 1 if absent. */
  readonly dilation?: Pair
  /** Parts into which channels are divided, each on its own; 1 if absent. */
  readonly groups?: number
}

type Two = readonly [number, number]

export interface ConvShape {
  readonly B: number
  readonly C: number
  readonly H: number
  readonly W: number
  readonly O: number
  readonly OH: number
  readonly OW: number
  readonly groups: number
  /** Elements of a patch: C / groups · kh · kw. */
  readonly depth: number
  readonly kernelSize: Two
  readonly stride: Two
  readonly padding: Two
  readonly dilation: Two
}

function pairOf(name: string, value: Pair, least: number): Two {
  const pair: Two = typeof value === 'number' ? [value, value] : value
  if (pair.length !== 2 || !pair.every(n => Number.isInteger(n) && n >= least)) {
    throw new LowrankError(
      'argument',
      `conv2d: ${name} must be one or two whole numbers from ${least} up, got ${JSON.stringify(value)}`,
    )
  }
  return pair
}

function outputSize(
  axis: string,
  size: number,
  taps: number,
  stride: number,
  padding: number,
  dilation: number,
): number {
  const reach = dilation * (taps - 1) + 1
  if (taps < 1 || size + 2 * padding < reach) {
    throw new LowrankError(
      'shape',
      `conv2d: the ${axis} of x, ${size} with ${padding} on either side, is less than the ${reach} ` +
        'that the kernel covers (pad more)',
    )
  }
  return Math.floor((size + 2 * padding - reach) / stride) + 1
}

/** Throws `shape` and `argument` errors where operands and options do not fit. */
export function convShape(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | undefined,
  options: Conv2dOptions,
): ConvShape {
  const stride = pairOf('stride', options.stride ?? 1, 1)
  const padding = pairOf('padding', options.padding ?? 0, 0)
  const dilation = pairOf('dilation', options.dilation ?? 1, 1)
  const [groups] = pairOf('groups', options.groups ?? 1, 1)
  const { B, C, H, W } = dims('conv2d: x', x, 'B C H W')
  const { O, I, kh, kw } = dims('conv2d: weight', weight, 'O I kh kw')
  if (I * groups !== C || O % groups !== 0) {
    throw new LowrankError(
      'shape',
      `conv2d: x has ${C} channels, the weight takes ${I} and gives ${O} in ${groups} groups ` +
        '(expected C = I · groups, and O a multiple of groups)',
    )
  }
  if (bias) {
    dims('conv2d: bias', bias, 'O', { O })
  }
  return {
    B,
    C,
    H,
    W,
    O,
    OH: outputSize('height', H, kh, stride[0], padding[0], dilation[0]),
    OW: outputSize('width', W, kw, stride[1], padding[1], dilation[1]),
    groups,
    depth: I * kh * kw,
    kernelSize: [kh, kw],
    stride,
    padding,
    dilation,
  }
}
