// One layer under several adapters of which some are DoRA, and under dropout. With W [out, in] (of an
// embedding [dim, rows], its input one-hot), adapters act one after the other,
//
//   plain   y ← y + s·(x̃·Aᵀ)·Bᵀ
//   DoRA    y ← b + g ⊙ (y − b + s·(x·Aᵀ)·Bᵀ),                  g = m / ‖W + s·B·A‖ per row of W
//           y ← y + (g − 1) ⊙ x̃·Wᵀ + g ⊙ s·(x̃·Aᵀ)·Bᵀ            under dropout
//
// where x̃ is x with the adapter's own mask. The norm counts as a constant, and is that of W alone with
// this adapter, whatever acted before. Gradients are of sum(y · dy).
// Sources: Hu et al. 2021 (arXiv 2106.09685); Liu et al. 2024, "DoRA" (arXiv 2402.09353), equation 5 and
// section 4.3; PEFT 0.21 for several adapters and for dropout.

import * as M from './matrix.mjs'
import { dropoutFactors } from './philox.mjs'
import { tensorOf, vector } from './write.mjs'

export const prefixOf = ({ adapters }, name) => (Object.keys(adapters).length > 1 ? `${name}.` : '')

export const factorNames = kind =>
  kind === 'embedding' ? ['lora_embedding_A', 'lora_embedding_B'] : ['lora_A', 'lora_B']

/** W as [out, in]. */
export const oriented = (kind, w) => (kind === 'linear' ? w : M.transpose(w))

function inputMatrix({ kind, layer }, x) {
  return kind === 'embedding'
    ? M.matrix(x.data.length, layer.rows, (i, j) => (x.data[i] === j ? 1 : 0))
    : M.fromTensor(x)
}

/** One adapter with its matrices, its mask and what its product is multiplied by. */
export function adapterOf(json, t, name, X, W) {
  const { r, lora_alpha, use_rslora, use_dora, dropout } = json.adapters[name]
  const prefix = prefixOf(json, name)
  const [A, B] = factorNames(json.kind).map(factor => M.fromTensor(t[prefix + factor]))
  const s = lora_alpha / (use_rslora ? Math.sqrt(r) : r)
  const delta = M.scale(M.multiply(B, A), s)
  const norm = M.rowNorms(M.add(W, delta))
  const m = use_dora ? t[`${prefix}magnitude`].data : norm
  const mask = dropout && { ...X, data: dropoutFactors(X.data.length, dropout) }
  return { prefix, A, B, s, delta, norm, m, g: m.map((v, i) => v / norm[i]), mask, dora: use_dora }
}

/** y after one more adapter, and what its gradients are made of. */
function applied(y, { X, W, b }, own) {
  const input = own.mask ? M.times(X, own.mask) : X
  const u = M.multiply(input, M.transpose(own.A))
  const low = M.scale(M.multiply(u, M.transpose(own.B)), own.s)
  if (!own.dora) {
    return { y: M.add(y, low), input, u }
  }
  const base = own.mask
    ? M.multiply(input, M.transpose(W))
    : M.addRow(
        y,
        b.map(v => -v),
      )
  const inner = M.add(base, low)
  const whole = M.timesRow(inner, own.g)
  const sum = own.mask ? M.add(y, M.add(whole, M.scale(base, -1))) : M.addRow(whole, b)
  return { y: sum, input, u, inner }
}

/** The gradients of one adapter; returns what is left for y before it, for x and for b. */
function backward(dy, own, { input, u, inner }, { W }, grads, names) {
  const thinned = dx => (own.mask ? M.times(dx, own.mask) : dx)
  const through = own.dora ? M.timesRow(dy, own.g) : dy
  const du = M.scale(M.multiply(through, own.B), own.s)
  const [A, B] = names
  grads[`d_${own.prefix}${A}`] = tensorOf(M.multiply(M.transpose(du), input))
  grads[`d_${own.prefix}${B}`] = tensorOf(M.scale(M.multiply(M.transpose(through), u), own.s))
  if (own.dora) {
    const sums = M.columnSums(M.times(dy, inner))
    grads[`d_${own.prefix}magnitude`] = vector(sums.map((v, i) => v / own.norm[i]))
  }
  const dx = M.multiply(du, own.A)
  if (!own.dora || own.mask) {
    const rest =
      own.dora &&
      M.multiply(
        M.timesRow(
          dy,
          own.g.map(g => g - 1),
        ),
        W,
      )
    return { dy, dx: thinned(rest ? M.add(dx, rest) : dx), db: undefined }
  }
  const db = M.columnSums(dy).map((v, i) => v * (1 - own.g[i]))
  return { dy: through, dx, db }
}

function baseOf(json, t) {
  const W = oriented(json.kind, M.fromTensor(t['base.weight']))
  const b = t['base.bias']?.data ?? new Array(W.rows).fill(0)
  const X = inputMatrix(json, t.x)
  return { X, W, b, y: M.addRow(M.multiply(X, M.transpose(W)), b) }
}

function forwardAndBackward(json, t) {
  const base = baseOf(json, t)
  const names = factorNames(json.kind)
  const own = Object.fromEntries(
    Object.keys(json.adapters).map(name => [name, adapterOf(json, t, name, base.X, base.W)]),
  )
  let y = base.y
  const steps = json.active.map(name => {
    const step = applied(y, base, own[name])
    y = step.y
    return { ...step, own: own[name] }
  })
  const grads = {}
  let dy = { ...y, data: [...t.dy.data] }
  let dx = M.scale(base.X, 0)
  let db = base.b.map(() => 0)
  for (const step of steps.reverse()) {
    const left = backward(dy, step.own, step, base, grads, names)
    dy = left.dy
    dx = M.add(dx, left.dx)
    db = db.map((v, i) => v + (left.db?.[i] ?? 0))
  }
  dx = M.add(dx, M.multiply(dy, base.W))
  db = M.columnSums(dy).map((v, i) => v + db[i])
  return { base, own, y, dx, db, grads }
}

/** W with every active adapter in it, one after the other. */
function merged({ base, own }, active) {
  return active.reduce((W, name) => {
    const sum = M.add(W, own[name].delta)
    return own[name].dora ? M.map(sum, (v, i) => v * own[name].g[i]) : sum
  }, base.W)
}

export function outputs(json, t) {
  const { kind, active, mergeable } = json
  const found = forwardAndBackward(json, t)
  const rows = [...t.x.shape.slice(0, kind === 'embedding' ? undefined : -1)]
  const asOutput = ({ cols, data }) => ({ shape: [...rows, cols], data })
  const all = {
    y: asOutput(found.y),
    y_base: asOutput(found.base.y),
    ...(kind !== 'embedding' && { d_x: { shape: t.x.shape, data: found.dx.data } }),
    ...(t['base.bias'] && { 'd_base.bias': vector(found.db) }),
    ...found.grads,
  }
  for (const { prefix, delta, dora, norm } of Object.values(found.own)) {
    if (mergeable) {
      all[`${prefix}delta_weight`] = tensorOf(oriented(kind, delta))
    }
    if (dora) {
      all[`${prefix}magnitude_init`] = vector(norm)
    }
  }
  if (mergeable) {
    all['merged.weight'] = tensorOf(oriented(kind, merged(found, active)))
    if (t['base.bias']) {
      all['merged.bias'] = t['base.bias']
    }
  }
  return all
}

/** Every row through an adapter of its own. */
export function rowOutputs(json, t) {
  const rows = json.adapter_names.map((name, i) => {
    const active = name === '__base__' ? [] : [name]
    const { y } = forwardAndBackward({ ...json, active }, { ...t, dy: { data: [] } })
    return y.data.slice(i * y.cols, (i + 1) * y.cols)
  })
  return { y: { shape: [rows.length, rows[0].length], data: rows.flat() } }
}
