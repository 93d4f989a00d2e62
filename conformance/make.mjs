// Writes the family random: words, uniform draws and dropout masks of Philox4x32-10, by the definition
// in whole numbers of any size, apart from what the library computes with.
//
//   node conformance/make.mjs [FOLDER]
//
// A block of four words is Philox of the counter (block, block / 2³², stream, 0) under the key
// (seed, seed / 2³²). A uniform draw is ((w₀ >> 5)·2²⁶ + (w₁ >> 6)) / 2⁵³. Dropout drops element i where
// word i is below ⌊p·2³²⌋ and multiplies the others by 1 / (1 − p).
// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const folder = process.argv[2] ?? fileURLToPath(new URL('.', import.meta.url))
const M0 = 0xd2511f53n
const M1 = 0xcd9e8d57n
const W0 = 0x9e3779b9n
const W1 = 0xbb67ae85n
const MASK = 0xffffffffn

function philox([c0, c1, c2, c3], [k0, k1]) {
  for (let round = 0; round < 10; round++) {
    const [a, b] = [M0 * c0, M1 * c2]
    ;[c0, c1, c2, c3] = [(b >> 32n) ^ c1 ^ k0, b & MASK, (a >> 32n) ^ c3 ^ k1, a & MASK]
    k0 = (k0 + W0) & MASK
    k1 = (k1 + W1) & MASK
  }
  return [c0, c1, c2, c3]
}

function words(seed, stream, count) {
  const key = [BigInt(seed) & MASK, BigInt(seed) >> 32n]
  const blocks = Array.from({ length: Math.ceil(count / 4) }, (_, i) =>
    philox([BigInt(i), 0n, BigInt(stream), 0n], key),
  )
  return blocks.flat().slice(0, count).map(Number)
}

function uniforms(seed, stream, count) {
  const w = words(seed, stream, 2 * count)
  const at = i => (BigInt(w[2 * i]) >> 5n) * 2n ** 26n + (BigInt(w[2 * i + 1]) >> 6n)
  return Array.from({ length: count }, (_, i) => Number(at(i)) / 2 ** 53)
}

function dropped(x, { p, seed, stream }) {
  const w = words(seed, stream, x.length)
  const threshold = Math.floor(p * 2 ** 32)
  return x.map((value, i) => (w[i] < threshold ? 0 : value / (1 - p)))
}

/** A safetensors file of float64 tensors. */
function safetensors(tensors) {
  const header = {}
  let end = 0
  for (const [name, data] of Object.entries(tensors)) {
    header[name] = {
      dtype: 'F64',
      shape: [data.length],
      data_offsets: [end, end + 8 * data.length],
    }
    end += 8 * data.length
  }
  let text = JSON.stringify(header)
  text += ' '.repeat((8 - (text.length % 8)) % 8)
  const file = new DataView(new ArrayBuffer(8 + text.length + end))
  file.setBigUint64(0, BigInt(text.length), true)
  new Uint8Array(file.buffer).set(new TextEncoder().encode(text), 8)
  Object.values(tensors)
    .flat()
    .forEach((value, i) => {
      file.setFloat64(8 + text.length + 8 * i, value, true)
    })
  return new Uint8Array(file.buffer)
}

function write(name, json, tensors) {
  const tolerance = { f64: 1e-15, f32: 1.2e-7 }
  const whole = { case: name, family: 'random', ...json, tolerance }
  writeFileSync(join(folder, 'random', `${name}.json`), `${JSON.stringify(whole, null, 1)}\n`)
  writeFileSync(join(folder, 'random', `${name}.safetensors`), safetensors(tensors))
}

mkdirSync(join(folder, 'random'), { recursive: true })

const streams = [
  ['zero', 0, 0],
  ['small', 42, 7],
  ['large_seed', 2 ** 53 - 1, 2 ** 32 - 1],
]
for (const [name, seed, stream] of streams) {
  const count = 37
  const json = { kind: 'stream', seed, stream, count, outputs: ['words', 'uniform'] }
  const [w, u] = [words(seed, stream, count), uniforms(seed, stream, count)]
  write(`stream_${name}`, json, { words: w, uniform: u })
}

// Inputs with few bits, so that float32 and float64 start from the same numbers.
const x = Array.from({ length: 131 }, (_, i) => (((i * 37) % 64) - 31.5) / 16)
const masks = [
  ['tenth', { p: 0.1, seed: 3, stream: 5 }],
  ['half', { p: 0.5, seed: 2 ** 40 + 9, stream: 2 ** 31 + 1 }],
  ['nearly_all', { p: 0.9375, seed: 0, stream: 0 }],
]
for (const [name, mask] of masks) {
  const json = { kind: 'dropout', ...mask, inputs: ['x', 'd_y'], outputs: ['y', 'grad_x'] }
  const dy = x.map((_, i) => (((i * 29) % 32) - 15.5) / 8)
  const tensors = { x, d_y: dy, y: dropped(x, mask), grad_x: dropped(dy, mask) }
  write(`dropout_${name}`, json, tensors)
}
