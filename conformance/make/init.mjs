// The family init: starts that are known exactly. W [out, in] = U·diag(σ)·Vᵀ with columns of Sylvester's
// matrices for U and V and powers of two for σ, or W = Q·R with such a Q: every entry is exact in float32,
// and nothing has to be decomposed to know the answer.
//
//   PiSSA   s·B·A = Σᵢ₌₁..ᵣ σᵢ·uᵢ·vᵢᵀ,   Aᵀ·A = Σ σᵢ/s·vᵢ·vᵢᵀ       (arXiv 2404.02948, equations 2 to 4)
//   OLoRA   B·A = Q[:, :r]·R[:r]                                       (arXiv 2406.01775, section 3)
//   MiCA    B·Bᵀ = Σ uᵢ·uᵢᵀ over the r smallest σ, A = 0               (arXiv 2604.01694)
//   EVA     A: the r directions of a layer's inputs that explain most  (arXiv 2410.07170, section 3)
//
// What is subtracted from the base is s·B·A at the start. Singular vectors are free up to sign, so that
// products are compared; EVA's have a sign: the largest entry of each is positive.

import * as M from './matrix.mjs'
import { coarseInputs } from './philox.mjs'
import { tensorOf, writeCase } from './write.mjs'

/** The first `count` columns of Sylvester's matrix, of length 1; n is a power of four. */
const orthonormal = (n, count, first = 0) =>
  M.scale(M.columns(M.hadamard(n), first, count), 1 / Math.sqrt(n))

function decomposed(rows, cols, sigma) {
  const u = orthonormal(rows, sigma.length)
  const v = orthonormal(cols, sigma.length)
  return { u, v, sigma, rows, cols }
}

/** Σ f(σᵢ)·uᵢ·vᵢᵀ over the places from `first` to before `end`. */
function part(u, v, values, first, end) {
  const chosen = M.map(u, (value, _, j) => (j >= first && j < end ? value * values[j] : 0))
  return M.multiply(chosen, M.transpose(v))
}

/**
 * How far an answer may be off if every entry of W is moved by a rounding of 2⁻ᵖ: by Wedin's theorem
 * directions turn by ‖E‖/gap, ‖E‖ ≤ 2⁻ᵖ·‖W‖; 16 such, for the algorithm's own.
 */
function tolerance(sigma, gap, least) {
  const norm = Math.sqrt(sigma.reduce((sum, s) => sum + s * s, 0))
  const room = 16 * (1 + (2 * sigma[0]) / gap) * (norm / sigma[0])
  const digit = value => Number(value.toPrecision(1))
  return {
    f64: Math.max(1e-12, digit(room * 2 ** -53)),
    f32: Math.max(least, digit(room * 2 ** -24)),
  }
}

function configured(init, r, lora_alpha, use_rslora) {
  return {
    init_lora_weights: init,
    r,
    lora_alpha,
    use_rslora,
    scaling: lora_alpha / (use_rslora ? Math.sqrt(r) : r),
  }
}

const trained = (A, B) => ({ requires_grad: { lora_A: A, lora_B: B } })

function pissa({ kind = 'linear', shape: [rows, cols], sigma, r, alpha, rslora = false }) {
  const { u, v } = decomposed(rows, cols, sigma)
  const json = { kind, ...configured('pissa', r, alpha, rslora), ...trained(true, true) }
  const W = part(u, v, sigma, 0, sigma.length)
  const k = Math.min(r, sigma.length)
  const roots = sigma.map(s => s / json.scaling)
  const gap = sigma[k - 1] - (sigma[k] ?? 0) || sigma[k - 1]
  return {
    json: { ...json, base_changed: true, tolerance: tolerance(sigma, gap, 2e-6) },
    inputs: { 'base.weight': tensorOf(kind === 'conv1d' ? M.transpose(W) : W) },
    outputs: {
      'exact.delta': tensorOf(part(u, v, sigma, 0, k)),
      'exact.residual': tensorOf(part(u, v, sigma, k, sigma.length)),
      'exact.A_gram': tensorOf(part(v, v, roots, 0, k)),
    },
  }
}

/** R [k, cols] above the diagonal, its own diagonal falling from 4 on by powers of two, exactly. */
function upper(k, cols, name) {
  const draws = coarseInputs(name, k * cols)
  return M.matrix(k, cols, (i, j) => (j < i ? 0 : j === i ? 4 / 2 ** i : draws[i * cols + j]))
}

function olora({ name, shape: [rows, cols], r, alpha, rslora = false }) {
  const k = Math.min(rows, cols)
  const Q = orthonormal(rows, k)
  const R = upper(k, cols, name)
  const json = { kind: 'linear', ...configured('olora', r, alpha, rslora), ...trained(true, true) }
  const B = M.columns(Q, 0, r)
  const A = M.matrix(r, cols, (i, j) => R.data[i * cols + j])
  const W = M.multiply(Q, R)
  const delta = M.scale(M.multiply(B, A), json.scaling)
  const size = Math.max(...R.data.map(Math.abs))
  const bounds = tolerance([size * k], size / 2 ** (k - 1), 2e-6)
  return {
    json: { ...json, base_changed: true, tolerance: bounds },
    inputs: { 'base.weight': tensorOf(W) },
    outputs: {
      'exact.delta': tensorOf(delta),
      'exact.residual': tensorOf(M.add(W, M.scale(delta, -1))),
      'exact.A_gram': tensorOf(M.multiply(M.transpose(A), A)),
      'exact.B_projector': tensorOf(M.multiply(B, M.transpose(B))),
    },
  }
}

function mica({ kind = 'linear', shape: [rows, cols], sigma, r, alpha }) {
  const { u, v } = decomposed(rows, cols, sigma)
  const W = part(u, v, sigma, 0, sigma.length)
  const first = sigma.length - r
  const ones = sigma.map(() => 1)
  const gap = sigma[first - 1] - sigma[first]
  const prefix = kind === 'embedding' ? 'lora_embedding_' : 'lora_'
  return {
    json: {
      kind,
      ...configured('mica', r, alpha, false),
      requires_grad: { [`${prefix}A`]: true, [`${prefix}B`]: false },
      base_changed: false,
      tolerance: tolerance(sigma, gap, 2e-6),
    },
    inputs: { 'base.weight': tensorOf(kind === 'linear' ? W : M.transpose(W)) },
    outputs: { 'exact.B_projector': tensorOf(part(u, u, ones, first, sigma.length)) },
  }
}

/** Directions (3, 4)/5 and (−4, 3)/5 in planes of their own: whole numbers once σ has a factor 5. */
function turned(count) {
  return M.matrix(count, count, (i, j) => {
    const plane = Math.floor(i / 2) === Math.floor(j / 2)
    const value = i % 2 === j % 2 ? 3 : i % 2 === 0 ? 4 : -4
    return plane ? value / 5 : 0
  })
}

/** Inputs [16, count] whose directions are the rows of `turned`, with these σ; columns have mean 0. */
function layerInputs(sigma) {
  const count = sigma.length
  const u = M.scale(M.columns(M.hadamard(16), 1, count), 1 / 4)
  const scaled = M.map(u, (value, _, j) => value * sigma[j])
  return M.map(M.multiply(scaled, turned(count)), value => Math.round(value * 4) / 4)
}

/**
 * Two layers compete: components by their share of their layer's variance, σᵢ²/Σσ², the largest
 * first, as many as there were ranks. The one batch is taken in twice, the second time to see that
 * components have settled, so that singular values are √2 times as large; whitening divides by their root.
 */
function eva({ layers, r, rho, alpha, whiten = false }) {
  const names = Object.keys(layers)
  const most = Math.round(r * rho)
  const shares = names.flatMap(name => {
    const total = layers[name].reduce((sum, s) => sum + s * s, 0)
    return layers[name].slice(0, most).map((s, i) => ({ name, i, share: (s * s) / total }))
  })
  const winners = shares.sort((a, b) => b.share - a.share).slice(0, r * names.length)
  const ranks = Object.fromEntries(
    names.map(name => [name, winners.filter(winner => winner.name === name).length]),
  )
  const starts = names.map(name => {
    const directions = turned(layers[name].length)
    const A = M.matrix(ranks[name], directions.cols, (i, j) => {
      const row = directions.data.slice(i * directions.cols, (i + 1) * directions.cols)
      const sign = Math.sign(row.find(v => Math.abs(v) === 0.8))
      return (sign * row[j]) / (whiten ? Math.sqrt(Math.SQRT2 * layers[name][i]) : 1)
    })
    return [`${name}.lora_A`, tensorOf(A)]
  })
  const inputs = names.map(name => [`${name}_in.0`, tensorOf(layerInputs(layers[name]))])
  return {
    json: {
      kind: 'eva',
      r,
      lora_alpha: alpha,
      rho,
      tau: 0.99,
      whiten,
      adjust_scaling_factors: true,
      layers: Object.fromEntries(names.map(name => [name, `${name}_in`])),
      batches: 1,
      ranks,
      scaling: Object.fromEntries(names.map(name => [name, alpha / r])),
      tolerance: tolerance([40], 5, 2e-6),
    },
    inputs: Object.fromEntries(inputs),
    outputs: Object.fromEntries(starts),
  }
}

const CASES = {
  pissa_exact: pissa({ shape: [16, 4], sigma: [8, 4, 2, 1], r: 2, alpha: 4 }),
  pissa_exact_wide: pissa({ shape: [4, 16], sigma: [8, 4, 2, 1], r: 3, alpha: 5 }),
  pissa_exact_rslora: pissa({
    shape: [16, 16],
    sigma: [16, 8, 4, 2, 1],
    r: 3,
    alpha: 6,
    rslora: true,
  }),
  pissa_exact_conv1d: pissa({
    kind: 'conv1d',
    shape: [16, 4],
    sigma: [8, 4, 2, 1],
    r: 1,
    alpha: 3,
  }),
  pissa_exact_nothing_left: pissa({ shape: [16, 4], sigma: [8, 4, 2, 1], r: 4, alpha: 8 }),
  olora_exact: olora({ name: 'olora', shape: [16, 4], r: 2, alpha: 4 }),
  olora_exact_wide: olora({ name: 'olora wide', shape: [4, 6], r: 3, alpha: 4 }),
  olora_exact_rslora: olora({ name: 'olora rslora', shape: [16, 6], r: 4, alpha: 6, rslora: true }),
  mica_exact: mica({ shape: [16, 4], sigma: [8, 4, 2, 1], r: 2, alpha: 4 }),
  mica_exact_wide: mica({ shape: [4, 16], sigma: [8, 4, 2, 1], r: 1, alpha: 4 }),
  mica_exact_embedding: mica({
    kind: 'embedding',
    shape: [4, 16],
    sigma: [8, 4, 2, 1],
    r: 2,
    alpha: 4,
  }),
  eva_exact: eva({
    layers: { steep: [40, 20, 10, 5], flat: [40, 30, 20, 10] },
    r: 2,
    rho: 2,
    alpha: 4,
  }),
  eva_exact_whiten: eva({
    layers: { steep: [40, 20, 10, 5], flat: [40, 30, 20, 10] },
    r: 2,
    rho: 1,
    alpha: 6,
    whiten: true,
  }),
}

export function makeInit(folder) {
  for (const [name, { json, inputs, outputs }] of Object.entries(CASES)) {
    writeCase(folder, 'init', name, json, inputs, outputs)
  }
}
