// The family optim: trajectories with what makes a step no ordinary one. In a step with a gradient that is
// not finite (`skipped`) nothing changes, no parameter, no state, no count of steps. With `max_grad_norm`
// the gradients of all parameters together are first scaled by min(1, max / (‖g‖ + 1e-6)). Groups have
// rates and decays of their own, as LoRA+ gives them: B learns faster than A.
//
//   AdamW   p ← p·(1 − lr·λ);  m ← β₁m + (1 − β₁)g;  v ← β₂v + (1 − β₂)g²
//           p ← p − lr/(1 − β₁ᵗ)·m / (√v/√(1 − β₂ᵗ) + ε)
//   SGD     g ← g + λp;  u ← μu + g (at first u = g);  p ← p − lr·(g + μu with Nesterov, else u)
//
// Sources: Loshchilov, Hutter, "Decoupled weight decay" (arXiv 1711.05101); Hayou et al., "LoRA+" (arXiv
// 2402.12354); torch.optim and torch.nn.utils.clip_grad_norm_; skipping as torch.amp.GradScaler does it.

import { inputs } from './philox.mjs'
import { tolerances } from './tolerance.mjs'
import { writeCase } from './write.mjs'

const STEPS = 12
const SHAPES = [[3, 4], [5, 3], [4]]
const sizeOf = shape => shape.reduce((n, size) => n * size, 1)

const ALGORITHMS = {
  AdamW: {
    state: ['exp_avg', 'exp_avg_sq'],
    update(p, g, state, t, { lr, betas = [0.9, 0.999], eps = 1e-8, weight_decay = 0.01 }) {
      return p.map((value, i) => {
        const m = (state.exp_avg[i] = betas[0] * state.exp_avg[i] + (1 - betas[0]) * g[i])
        const v = (state.exp_avg_sq[i] =
          betas[1] * state.exp_avg_sq[i] + (1 - betas[1]) * g[i] * g[i])
        const denominator = Math.sqrt(v) / Math.sqrt(1 - power(betas[1], t)) + eps
        const step = (lr / (1 - power(betas[0], t))) * (m / denominator)
        return value * (1 - lr * weight_decay) - step
      })
    },
  },
  SGD: {
    state: ['momentum_buffer'],
    update(p, g, state, t, { lr, momentum, nesterov = false, weight_decay = 0 }) {
      return p.map((value, i) => {
        const own = g[i] + weight_decay * value
        const u = t === 1 ? own : momentum * state.momentum_buffer[i] + own
        state.momentum_buffer[i] = u
        return value - lr * (nesterov ? own + momentum * u : u)
      })
    },
  },
}

/** base^count by multiplication: the same in every engine. */
function power(base, count) {
  return Array.from({ length: count }).reduce(product => product * base, 1)
}

/** What all gradients of a step are multiplied by. */
function clipFactor(gradients, most) {
  const norm = Math.sqrt(gradients.flat().reduce((sum, g) => sum + g * g, 0))
  return most === undefined ? 1 : Math.min(1, most / (norm + 1e-6))
}

function outputs(json, t) {
  const { update, state: names } = ALGORITHMS[json.optimizer]
  const numbers = SHAPES.map((_, i) => i)
  const group = i => ({
    ...json.arguments,
    ...json.groups.find(({ params }) => params.includes(i)),
  })
  const p = numbers.map(i => [...t[`p${i}.start`].data])
  const state = p.map(own => Object.fromEntries(names.map(name => [name, own.map(() => 0)])))
  const trajectory = p.map(own => [...own])
  let count = 0
  for (let n = 0; n < STEPS; n++) {
    const size = i => sizeOf(SHAPES[i])
    const g = numbers.map(i => t[`p${i}.grad`].data.slice(n * size(i), (n + 1) * size(i)))
    if (g.flat().every(Number.isFinite)) {
      const factor = clipFactor(g, json.max_grad_norm)
      count++
      for (const i of numbers) {
        const own = g[i].map(value => value * factor)
        p[i] = update(p[i], own, state[i], count, group(i))
      }
    }
    numbers.forEach(i => {
      trajectory[i].push(...p[i])
    })
  }
  const found = {}
  for (const i of numbers) {
    found[`p${i}.trajectory`] = { shape: [STEPS + 1, ...SHAPES[i]], data: trajectory[i] }
    for (const name of names) {
      found[`p${i}.state.${name}`] = { shape: SHAPES[i], data: state[i][name] }
    }
  }
  return found
}

/** Starts and gradients; in a skipped step one element somewhere is NaN or infinite. */
function inputsOf(name, { skipped = [] }) {
  const t = {}
  SHAPES.forEach((shape, i) => {
    t[`p${i}.start`] = { shape, data: inputs(`${name}/p${i}`, sizeOf(shape)) }
    const data = inputs(`${name}/g${i}`, STEPS * sizeOf(shape))
    t[`p${i}.grad`] = { shape: [STEPS, ...shape], data }
  })
  const bad = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  skipped.forEach((n, at) => {
    const i = at % SHAPES.length
    t[`p${i}.grad`].data[n * sizeOf(SHAPES[i]) + (at % sizeOf(SHAPES[i]))] = bad[at % bad.length]
  })
  return t
}

const ALL = [{ params: [0, 1, 2] }]

const CASES = {
  adamw_skipped: { optimizer: 'AdamW', arguments: { lr: 0.01 }, groups: ALL, skipped: [3, 4, 9] },
  adamw_skipped_first: { optimizer: 'AdamW', arguments: { lr: 0.01 }, groups: ALL, skipped: [0] },
  adamw_clipped: { optimizer: 'AdamW', arguments: { lr: 0.01 }, groups: ALL, max_grad_norm: 1 },
  adamw_clipped_skipped: {
    optimizer: 'AdamW',
    arguments: { lr: 0.01, betas: [0.8, 0.95], eps: 1e-6 },
    groups: ALL,
    max_grad_norm: 3.5,
    skipped: [5, 6, 7],
  },
  adamw_lora_plus: {
    optimizer: 'AdamW',
    arguments: { lr: 0.01 },
    groups: [
      { params: [0, 2], weight_decay: 0 },
      { params: [1], lr: 0.16, weight_decay: 0.1 },
    ],
  },
  sgd_clipped_skipped: {
    optimizer: 'SGD',
    arguments: { lr: 0.1, momentum: 0.9, nesterov: true, weight_decay: 0.01 },
    groups: ALL,
    max_grad_norm: 2,
    skipped: [0, 8],
  },
}

export function makeOptim(folder) {
  for (const [name, own] of Object.entries(CASES)) {
    const json = { kind: 'trajectory', ...own, shapes: SHAPES, steps: STEPS }
    const t = inputsOf(name, own)
    const compute = tensors => outputs(json, tensors)
    const tolerance = tolerances(t, compute)
    writeCase(folder, 'optim', name, { ...json, tolerance }, t, compute(t))
  }
}
