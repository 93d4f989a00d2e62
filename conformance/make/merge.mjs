// The family merge: combinations that leave out entries at random (DARE), with the masks that were drawn,
// and combinations of adapters whose ranks and scales differ. Of an adapter with scale s and weight w,
//
//   linear        A = Σ ±√|w·s|·A',  B = Σ √|w·s|·B'        (the sign of w·s goes to A)
//   ..._ties      per entry the mean Σ w·x / count over those x that have the sign of the sum of all
//   ..._svd       the nearest matrix of rank r to Σ w·(s·B·A)'
//
// where x' = mask·x / density. A mask is 1 where the i-th uniform draw of its stream is below the density;
// the stream is named combine/PART/ADAPTER/MATRIX, MATRIX being lora_A, lora_B, or delta for a product.
// Sources: Yu et al. 2023, "DARE" (arXiv 2311.03099), section 3.2; Yadav et al. 2023, "TIES-merging" (arXiv
// 2306.01708), section 4.1; PEFT 0.21, `add_weighted_adapter`.

import * as M from './matrix.mjs'
import { hashName, inputs, uniforms } from './philox.mjs'
import { tolerances } from './tolerance.mjs'
import { tensorOf, writeCase } from './write.mjs'

/** What a part's matrix is: lin [in, out] = [8, 6], emb [rows, dim] = [11, 7]. */
const PARTS = { lin: [8, 6], emb: [11, 7] }

const keys = part =>
  part === 'emb' ? ['lora_embedding_A', 'lora_embedding_B'] : ['lora_A', 'lora_B']

function maskName(json, name, part, matrix) {
  return json.seed === undefined ? undefined : `mask.${name}.${part}.${matrix}`
}

function thinned(json, t, name, part, matrix, own) {
  const mask = t[maskName(json, name, part, matrix)]
  return mask ? M.map(own, (v, i, j) => (v * mask.data[i * own.cols + j]) / json.density) : own
}

function majority(matrices, weights) {
  return M.map(matrices[0], (_, i, j) => {
    const values = matrices.map(({ cols, data }) => data[i * cols + j])
    const sign = values.reduce((sum, v) => sum + v, 0) >= 0 ? 1 : -1
    const agreeing = values.map((v, at) => [v, weights[at]]).filter(([v]) => Math.sign(v) === sign)
    return agreeing.reduce((sum, [v, w]) => sum + w * v, 0) / Math.max(agreeing.length, 1)
  })
}

const total = (matrices, weights) =>
  matrices.map((m, i) => M.scale(m, weights[i])).reduce((a, b) => M.add(a, b))

function combined(json, t, part) {
  const names = Object.keys(json.adapters)
  const scales = names.map(name => json.adapters[name].scaling[part])
  const unite = json.combination_type.includes('ties') ? majority : total
  const of = (name, i) => M.fromTensor(t[`${name}.${part}.${keys(part)[i]}`])
  if (json.combination_type.endsWith('svd')) {
    const products = names.map((name, i) => {
      const delta = M.scale(M.multiply(of(name, 1), of(name, 0)), scales[i])
      return thinned(json, t, name, part, 'delta', delta)
    })
    return { delta: M.nearestOfRank(unite(products, json.weights), json.result.r) }
  }
  const factors = names.map((_, i) => json.weights[i] * scales[i])
  const roots = factors.map(f => Math.sqrt(Math.abs(f)))
  const As = names.map(name => thinned(json, t, name, part, 'lora_A', of(name, 0)))
  const Bs = names.map(name => thinned(json, t, name, part, 'lora_B', of(name, 1)))
  const A = unite(
    As,
    roots.map((root, i) => (factors[i] < 0 ? -root : root)),
  )
  const B = unite(Bs, roots)
  return { A, B, delta: M.multiply(B, A) }
}

function outputs(json, t) {
  const found = {}
  for (const part of Object.keys(PARTS)) {
    const { A, B, delta } = combined(json, t, part)
    const [a, b] = keys(part)
    if (A) {
      found[`out.${part}.${a}`] = tensorOf(A)
      found[`out.${part}.${b}`] = tensorOf(B)
    }
    found[`out.${part}.delta_weight`] = tensorOf(part === 'emb' ? M.transpose(delta) : delta)
  }
  return found
}

/** Every adapter's factors, and the masks they are drawn by. */
function inputsOf(name, json) {
  const t = {}
  const masks = {}
  const draw = (key, shape) => ({ shape, data: inputs(`${name}/${key}`, shape[0] * shape[1]) })
  for (const [adapter, { r }] of Object.entries(json.adapters)) {
    for (const [part, [cols, rows]] of Object.entries(PARTS)) {
      const [a, b] = keys(part).map(key => `${adapter}.${part}.${key}`)
      t[a] = draw(a, [r, cols])
      t[b] = draw(b, [rows, r])
      const shapes = json.combination_type.endsWith('svd')
        ? { delta: [rows, cols] }
        : { lora_A: [r, cols], lora_B: [rows, r] }
      for (const [matrix, shape] of Object.entries(json.seed === undefined ? {} : shapes)) {
        const stream = hashName(`combine/${part}/${adapter}/${matrix}`)
        const drawn = uniforms(json.seed, stream, shape[0] * shape[1])
        const data = drawn.map(u => (u < json.density ? 1 : 0))
        masks[maskName(json, adapter, part, matrix)] = { shape, data }
      }
    }
  }
  return { t, masks }
}

function adapter(r, lora_alpha, use_rslora = false) {
  const s = lora_alpha / (use_rslora ? Math.sqrt(r) : r)
  const none = { rank_pattern: {}, alpha_pattern: {} }
  const target_modules = Object.keys(PARTS)
  const scaling = Object.fromEntries(target_modules.map(part => [part, s]))
  return { r, lora_alpha, use_rslora, ...none, target_modules, scaling }
}

/** The shapes and the configuration of a result of rank r: alpha is r, so that nothing is multiplied. */
function resultOf(r) {
  const shapes = Object.entries(PARTS).map(([part, [cols, rows]]) => {
    const [a, b] = keys(part)
    return [part, { [a]: [r, cols], [b]: [rows, r] }]
  })
  const { target_modules, ...rest } = adapter(r, r)
  return { ...rest, target_modules: [...target_modules].sort(), shapes: Object.fromEntries(shapes) }
}

const THREE = { a: adapter(4, 8), b: adapter(4, 6), c: adapter(4, 2) }

const CASES = {
  dare_linear: { combination_type: 'dare_linear', weights: [0.75, 0.5, 0.25], adapters: THREE },
  dare_linear_negative: {
    combination_type: 'dare_linear',
    weights: [1, -0.5],
    adapters: { a: adapter(3, 6), b: adapter(3, 5) },
    density: 0.25,
    seed: 9,
  },
  dare_ties: { combination_type: 'dare_ties', weights: [0.75, 0.5, 0.25], adapters: THREE },
  dare_linear_svd: {
    combination_type: 'dare_linear_svd',
    weights: [1, 0.5],
    adapters: { a: adapter(2, 4), b: adapter(3, 5) },
    svd_rank: 3,
  },
  dare_ties_svd: {
    combination_type: 'dare_ties_svd',
    weights: [1, 0.5],
    adapters: { a: adapter(2, 4), b: adapter(3, 5) },
    svd_rank: 4,
    seed: 2 ** 33 + 1,
  },
  svd_different_ranks: {
    combination_type: 'svd',
    weights: [1, -0.5, 2],
    adapters: { a: adapter(2, 4), b: adapter(5, 3), c: adapter(1, 1) },
    svd_rank: 4,
    density: undefined,
    seed: undefined,
  },
}

export function makeMerge(folder) {
  for (const [name, own] of Object.entries(CASES)) {
    const ranks = Object.values(own.adapters).map(({ r }) => r)
    const json = {
      kind: 'merge',
      density: 0.5,
      seed: 5,
      ...own,
      parts: PARTS,
      fan_in_fan_out: false,
      result: resultOf(own.svd_rank ?? Math.max(...ranks)),
    }
    const { t, masks } = inputsOf(name, json)
    const compute = tensors => outputs(json, { ...tensors, ...masks })
    const whole = { ...json, tolerance: tolerances(t, compute) }
    writeCase(folder, 'merge', name, whole, { ...t, ...masks }, compute(t))
  }
}
