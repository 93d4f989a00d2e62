// The family layers: one layer under several adapters of which some are DoRA, and under dropout, as
// layer.mjs computes it. Magnitudes are near the norms, as they are after some training.

import { adapterOf, factorNames, oriented, outputs, prefixOf, rowOutputs } from './layer.mjs'
import * as M from './matrix.mjs'
import { hashName, inputs } from './philox.mjs'
import { tolerances } from './tolerance.mjs'
import { vector, writeCase } from './write.mjs'

const plain = (r, lora_alpha, more) => ({
  r,
  lora_alpha,
  scaling: lora_alpha / (more?.use_rslora ? Math.sqrt(r) : r),
  use_rslora: false,
  use_dora: false,
  lora_bias: false,
  ...more,
})

const dora = (r, lora_alpha, more) => plain(r, lora_alpha, { use_dora: true, ...more })

const SIZES = {
  linear: { din: 8, dout: 6 },
  conv1d: { din: 7, dout: 5 },
  embedding: { rows: 9, dim: 5 },
}

/** The numbers that a case starts from; magnitudes near the norms, as they are after some training. */
function inputsOf(name, json, batch, bias) {
  const { kind, layer } = json
  const [wide, out] = kind === 'embedding' ? [layer.rows, layer.dim] : [layer.din, layer.dout]
  const draw = (tensor, ...shape) => ({
    shape,
    data: inputs(
      `${name}/${tensor}`,
      shape.reduce((n, size) => n * size, 1),
    ),
  })
  const token = (_, i) => (i * 5 + 2) % wide
  const x =
    kind === 'embedding'
      ? {
          dtype: 'I64',
          shape: batch,
          data: Array.from({ length: batch.reduce((n, s) => n * s, 1) }, token),
        }
      : draw('x', ...batch, wide)
  const t = { x, 'base.weight': kind === 'linear' ? draw('W', out, wide) : draw('W', wide, out) }
  if (bias) {
    t['base.bias'] = draw('b', out)
  }
  for (const [adapter, { r }] of Object.entries(json.adapters)) {
    const prefix = prefixOf(json, adapter)
    const [A, B] = factorNames(kind)
    t[prefix + A] = draw(`${adapter}/A`, r, wide)
    t[prefix + B] = draw(`${adapter}/B`, out, r)
  }
  const W = oriented(kind, M.fromTensor(t['base.weight']))
  for (const [adapter, { use_dora }] of Object.entries(json.adapters)) {
    if (use_dora) {
      const { norm } = adapterOf(
        { ...json, adapters: bare(json.adapters) },
        { ...t, ...units(json, out) },
        adapter,
        x,
        W,
      )
      const factors = inputs(`${name}/${adapter}/m`, out).map(u => 1 + u / 4)
      t[`${prefixOf(json, adapter)}magnitude`] = vector(
        norm.map((v, i) => Math.fround(v * factors[i])),
      )
    }
  }
  return { ...t, dy: draw('dy', ...batch, out) }
}

const bare = adapters =>
  Object.fromEntries(Object.entries(adapters).map(([name, { dropout: _, ...own }]) => [name, own]))

const units = (json, out) =>
  Object.fromEntries(
    Object.keys(json.adapters).map(name => [
      `${prefixOf(json, name)}magnitude`,
      { data: new Array(out).fill(1) },
    ]),
  )

/**
 * The masks of adapters that are drawn one after the other: the first of a step has the stream named
 * 1/0, the next 1/1.
 */
const mask = (p, seed, number) => ({ p, seed, stream: hashName(`1/${number}`) })

const CASES = {
  dora_three: {
    kind: 'linear',
    adapters: { a: dora(3, 6), b: plain(2, 5), c: dora(4, 3, { use_rslora: true }) },
    active: ['a', 'b', 'c'],
    batch: [2, 3],
    bias: true,
  },
  dora_other_order: {
    kind: 'linear',
    adapters: { a: dora(3, 6), b: plain(2, 5), c: dora(4, 3) },
    active: ['c', 'a'],
    batch: [4],
    bias: true,
  },
  dora_after_plain: {
    kind: 'linear',
    adapters: { a: plain(2, 3), b: dora(2, 5) },
    active: ['a', 'b'],
    batch: [4],
    bias: false,
  },
  dora_conv1d_two: {
    kind: 'conv1d',
    adapters: { a: dora(2, 6), b: dora(3, 4) },
    active: ['a', 'b'],
    batch: [2, 2],
    bias: true,
  },
  dora_embedding_two: {
    kind: 'embedding',
    adapters: { a: dora(2, 6), b: dora(3, 4, { use_rslora: true }) },
    active: ['a', 'b'],
    batch: [2, 4],
    bias: false,
  },
  dora_rows: {
    kind: 'linear',
    adapters: { a: dora(3, 6), b: plain(2, 5), c: dora(4, 3, { use_rslora: true }) },
    rows: ['c', 'a', '__base__', 'b', 'a', 'c'],
    batch: [6],
    bias: true,
  },
  dropout_linear: {
    kind: 'linear',
    adapters: { default: plain(3, 6, { dropout: mask(0.25, 7, 0) }) },
    active: ['default'],
    batch: [2, 5],
    bias: true,
  },
  dropout_conv1d_rslora: {
    kind: 'conv1d',
    adapters: { default: plain(4, 3, { use_rslora: true, dropout: mask(0.5, 2 ** 40 + 9, 0) }) },
    active: ['default'],
    batch: [6],
    bias: true,
  },
  dropout_two: {
    kind: 'linear',
    adapters: {
      a: plain(3, 6, { dropout: mask(0.25, 7, 0) }),
      b: plain(2, 5, { dropout: mask(0.5, 7, 1) }),
    },
    active: ['a', 'b'],
    batch: [8],
    bias: true,
  },
  dropout_dora: {
    kind: 'linear',
    adapters: { default: dora(3, 6, { dropout: mask(0.25, 7, 0) }) },
    active: ['default'],
    batch: [8],
    bias: true,
  },
}

export function makeLayers(folder) {
  for (const [name, { batch, bias, rows, ...own }] of Object.entries(CASES)) {
    const thinned = Object.values(own.adapters).some(({ dropout }) => dropout)
    const json = {
      ...own,
      layer: SIZES[own.kind],
      fan_in_fan_out: own.kind === 'conv1d',
      ...(rows ? { adapter_names: rows } : { mergeable: !thinned }),
    }
    const { dy, ...start } = inputsOf(name, json, batch, bias)
    const t = rows ? start : { ...start, dy }
    const compute = tensors => (rows ? rowOutputs(json, tensors) : outputs(json, tensors))
    writeCase(folder, 'layers', name, { ...json, tolerance: tolerances(t, compute) }, t, compute(t))
  }
}
