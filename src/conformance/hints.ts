// What a wrong answer of a LoRA layer looks like. The base alone, the whole and so the update
// u = y − y_base are stored; with s the scale, r the rank and b the bias, an answer may equal
//
//   y_base                    the update is missing          y_base + u/s    it is not scaled
//   s·(y_base − b) + u + b    the base is scaled too         y_base + u·s    it is scaled twice
//   y_base + u·√r, u/√r       alpha/r and alpha/√r are mixed up
//   y_base − u                the update is subtracted
//
// The nearest, if it is within the tolerance, is named.

import type { Case } from './case.ts'
import { scaledError } from './compare.ts'
import type { Answer } from './kind.ts'

type Values = readonly number[]

interface Layer {
  readonly base: Values
  readonly update: Values
  readonly bias: Values
  readonly s: number
  readonly r: number
}

const MISTAKES: Readonly<Record<string, (layer: Layer) => Values>> = {
  'the update is missing': ({ base }) => base,
  'the update is not multiplied by the scale': ({ base, update, s }) => mixed(base, update, 1 / s),
  'the scale is applied twice': ({ base, update, s }) => mixed(base, update, s),
  'the scale is applied to the base as well as to the update': ({ base, update, bias, s }) =>
    base.map((value, i) => s * (value - bias[i % bias.length]) + bias[i % bias.length] + update[i]),
  'the scale and the bias are applied to the base as well': ({ base, update, s }) =>
    base.map((value, i) => s * value + update[i]),
  'the scale is alpha / √r where alpha / r is right': ({ base, update, r }) =>
    mixed(base, update, Math.sqrt(r)),
  'the scale is alpha / r where alpha / √r is right': ({ base, update, r }) =>
    mixed(base, update, 1 / Math.sqrt(r)),
  'the update is subtracted': ({ base, update }) => mixed(base, update, -1),
}

function mixed(base: Values, update: Values, factor: number): Values {
  return base.map((value, i) => value + factor * update[i])
}

function layerOf({ json, tensors }: Case): Layer | undefined {
  const adapters = Object.values(json.adapters ?? {}) as { scaling: number; r: number }[]
  const [y, base] = [tensors.get('y'), tensors.get('y_base')]
  if (adapters.length !== 1 || !y || !base) {
    return undefined
  }
  const stored = Array.from(base.data)
  return {
    base: stored,
    update: Array.from(y.data, (value, i) => value - stored[i]),
    bias: Array.from(tensors.get('base.bias')?.data ?? [0]),
    s: adapters[0].scaling,
    r: adapters[0].r,
  }
}

/** What mistake would give this answer for the output y of a layer, if one is known. */
export function layerHint(example: Case, answer: Answer): string | undefined {
  const layer = layerOf(example)
  const got = answer.tensors.y
  const want = example.tensors.get('y')
  const tolerance = Number(example.json.tolerance?.f32 ?? 0)
  if (!layer || !got || !want || scaledError(got.data, want.data) <= tolerance) {
    return undefined
  }
  const names = Object.keys(MISTAKES)
  return names.find(name => scaledError(got.data, MISTAKES[name](layer)) <= tolerance)
}
