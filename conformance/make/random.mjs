// The family random: words, uniform and normal draws, orders, and dropout masks.

import { dropoutFactors, hashName, normals, shuffled, uniforms, words } from './philox.mjs'
import { vector, writeCase } from './write.mjs'

const COUNT = 37

const STREAMS = [
  ['zero', { seed: 0, stream: 0 }],
  ['small', { seed: 42, stream: 7 }],
  ['large_seed', { seed: 2 ** 53 - 1, stream: 2 ** 32 - 1 }],
  ['named', { seed: 5, stream: hashName('model.layers.0/A'), stream_name: 'model.layers.0/A' }],
]

const MASKS = [
  ['tenth', { p: 0.1, seed: 3, stream: 5 }],
  ['half', { p: 0.5, seed: 2 ** 40 + 9, stream: 2 ** 31 + 1 }],
  ['nearly_all', { p: 0.9375, seed: 0, stream: 0 }],
]

/** A product by a factor of f32 is one rounding off. */
const ROUNDED = { f64: 1e-15, f32: 1.2e-7 }

/** Beside the roundings of ln, cos and sin: 2π·u is off by 2⁻⁵³ of itself, up to 7e-16. */
const TURNED = { f64: 4e-15, f32: 1e-6 }

export function makeRandom(folder) {
  const write = (name, json, inputs, outputs) =>
    writeCase(folder, 'random', name, json, inputs, outputs)
  for (const [name, json] of STREAMS) {
    const { seed, stream } = json
    const [w, u] = [words(seed, stream, COUNT), uniforms(seed, stream, COUNT)]
    const outputs = { words: vector(w), uniform: vector(u) }
    const whole = { kind: 'stream', ...json, count: COUNT, tolerance: ROUNDED }
    write(`stream_${name}`, whole, {}, outputs)
  }
  const [seed, stream] = [11, 13]
  const drawn = { seed, stream, count: COUNT }
  write(
    'normal',
    { kind: 'normal', ...drawn, tolerance: TURNED },
    {},
    {
      normal: vector(normals(seed, stream, COUNT)),
    },
  )
  write(
    'shuffle',
    { kind: 'shuffle', ...drawn, tolerance: ROUNDED },
    {},
    {
      order: vector(shuffled(seed, stream, COUNT)),
    },
  )
  // Inputs with few bits, so that float32 and float64 start from the same numbers.
  const x = Array.from({ length: 131 }, (_, i) => (((i * 37) % 64) - 31.5) / 16)
  const dy = x.map((_, i) => (((i * 29) % 32) - 15.5) / 8)
  for (const [name, mask] of MASKS) {
    const factors = dropoutFactors(x.length, mask)
    const thinned = values => vector(values.map((value, i) => value * factors[i]))
    const whole = { kind: 'dropout', ...mask, tolerance: ROUNDED }
    const inputs = { x: vector(x), d_y: vector(dy) }
    write(`dropout_${name}`, whole, inputs, { y: thinned(x), grad_x: thinned(dy) })
  }
}
