// jax-js on its WASM or WebGPU backend. `written` has one `jit` around the whole step, as its documentation shows;
// that fuses arithmetic into products, which then miss the tiled kernel, so `tuned` has a `jit` around each
// product, around what lies between products, and around the update. Functions own their arguments: whatever is used again is passed as `.ref`.

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { defaultDevice, init, jit, nn, numpy as np, tree, valueAndGrad } from '@jax-js/jax'
import { ADAMW, LLAMA, SCALE } from '../workloads.mjs'

const entry = createRequire(import.meta.url).resolve('@jax-js/jax')
const { version } = JSON.parse(readFileSync(`${entry.split('/dist/')[0]}/package.json`, 'utf8'))

const constant = ({ data, shape }) => np.array(data, { shape })

/** x·Wᵀ */
const plainProduct = (x, w) => np.matmul(x, w.transpose())
const product = jit(plainProduct)

const adapted = (product, x, w, a, b) => product(x.ref, w).add(product(product(x, a), b).mul(SCALE))

function update(lr) {
  const { beta1, beta2, eps, weightDecay } = ADAMW
  return (params, m, v, grads, corrections) => {
    const next = { params: {}, m: {}, v: {} }
    const [first, second] = [corrections.ref.slice(0), corrections.slice(1)]
    for (const name of Object.keys(params)) {
      const g = grads[name]
      const mean = m[name].mul(beta1).add(g.ref.mul(1 - beta1))
      const square = v[name].mul(beta2).add(np.square(g).mul(1 - beta2))
      const root = np.sqrt(square.ref.div(second.ref)).add(eps)
      const change = mean.ref.div(first.ref).div(root).mul(lr)
      next.params[name] = params[name].mul(1 - lr * weightDecay).sub(change)
      next.m[name] = mean
      next.v[name] = square
    }
    first.dispose()
    second.dispose()
    return next
  }
}

const zerosLike = params =>
  Object.fromEntries(Object.entries(params).map(([k, p]) => [k, np.zeros([...p.shape])]))

/** `loss(params, x)`; x is an array whose gradient is wanted too, or absent. */
function training(loss, tensors, x, lr, whole) {
  let params = tensors
  let [m, v] = [zerosLike(params), zerosLike(params)]
  let count = 0
  const differentiated = x
    ? valueAndGrad(loss, { argnums: [0, 1] })
    : (params, _x) => {
        const [value, grads] = valueAndGrad(loss)(params)
        return [value, [grads]]
      }
  const change = update(lr)
  const run = (params, m, v, corrections, ...input) => {
    const [value, [grads, dx]] = differentiated(tree.ref(params), ...input)
    const next = changed(params, m, v, grads, corrections)
    return dx ? { value, dx, ...next } : { value, ...next }
  }
  const changed = whole ? change : jit(change)
  const once = whole ? jit(run) : run
  const input = () => (x ? [x.ref] : [])
  return {
    async step() {
      count++
      const corrections = np.array([1 - ADAMW.beta1 ** count, 1 - ADAMW.beta2 ** count])
      const next = once(params, m, v, corrections, ...input())
      ;({ params, m, v } = next)
      if (next.dx) {
        await next.dx.ref.blockUntilReady()
        next.dx.dispose()
      }
      await Promise.all([params, m, v].flatMap(t => tree.leaves(t)).map(a => a.blockUntilReady()))
      return (await next.value.data())[0]
    },
    async gradients() {
      const [value, [grads, dx]] = differentiated(tree.ref(params), ...input())
      value.dispose()
      return dataOf(dx ? { ...grads, x: dx } : grads)
    },
    parameters: () => dataOf(tree.ref(params)),
  }
}

async function dataOf(arrays) {
  const entries = Object.entries(arrays)
  return Object.fromEntries(await Promise.all(entries.map(async ([k, a]) => [k, await a.data()])))
}

function products(tensors, { device }) {
  const [x, w] = [constant(tensors.x), constant(tensors.w)]
  const run = () => product(x.ref, w.ref)
  return {
    result: () => run().data(),
    step: async () => {
      const y = await run().blockUntilReady()
      y.dispose()
    },
    steps: device === 'webgpu' ? calls => inARow(run, calls) : undefined,
  }
}

/** Products one after the other, waited for together; one that is disposed of at once is not computed. */
async function inARow(run, calls) {
  const results = Array.from({ length: calls }, run)
  await Promise.all(results.map(y => y.blockUntilReady()))
  for (const y of results) {
    y.dispose()
  }
}

/** A mean by rows first: over all elements at once its sum in one float32 is off by 1e-4. */
const mse = (y, t) => np.mean(np.mean(np.square(y.sub(t)), 1))

function lora(tensors, { lr }, whole) {
  const [w, t, x] = ['w', 't', 'x'].map(name => constant(tensors[name]))
  const linear = whole ? plainProduct : product
  const loss = ({ a, b }, x) => mse(adapted(linear, x, w.ref, a, b), t.ref)
  return training(loss, { a: constant(tensors.a), b: constant(tensors.b) }, x, lr, whole)
}

function full(tensors, { lr }, whole) {
  const [t, x] = ['t', 'x'].map(name => constant(tensors[name]))
  const linear = whole ? plainProduct : product
  const loss = ({ w }, x) => mse(linear(x, w), t.ref)
  return training(loss, { w: constant(tensors.w) }, x, lr, whole)
}

/** cos and sin [T, D] of the rotation, both halves alike. */
function rotation({ sequence, headDim, theta }) {
  const half = headDim / 2
  const angle = i => Math.floor(i / headDim) * theta ** (-(2 * (i % half)) / headDim)
  const table = f => Float32Array.from({ length: sequence * headDim }, (_, i) => f(angle(i)))
  return [Math.cos, Math.sin].map(f => np.array(table(f), { shape: [sequence, headDim] }))
}

/** The parts of the decoder, each inside `around`. */
function decoder(frozen, [cos, sin], mask, around) {
  const { batch: B, sequence: S, heads: H, headDim: D, width, eps } = LLAMA
  const linear = around(plainProduct)
  const mixture = around((p, v) => np.matmul(p, v))
  const similarity = around((q, k) => np.matmul(q, k.transpose([0, 1, 3, 2])))
  const norm = around((x, w) => {
    const squares = np.mean(np.square(x.ref), -1, { keepdims: true })
    return x.mul(np.reciprocal(np.sqrt(squares.add(eps)))).mul(w)
  })
  const split = x => x.reshape([B, S, H, D]).transpose([0, 2, 1, 3])
  const rotated = around((x, cos, sin) => {
    const [first, second] = np.split(split(x.ref), 2, -1)
    return split(x)
      .mul(cos)
      .add(np.concatenate([second.neg(), first], -1).mul(sin))
  })
  const heads = around(split)
  const probabilities = around((scores, mask) =>
    nn.softmax(scores.mul(1 / Math.sqrt(D)).add(mask), -1),
  )
  const joined = around(x => x.transpose([0, 2, 1, 3]).reshape([B * S, width]))
  const gated = around((gate, up) => gate.ref.mul(nn.sigmoid(gate)).mul(up))
  const rotate = x => rotated(x, cos.ref, sin.ref)
  const get = name => frozen[name].ref
  const layer = (h, at, [qa, qb, va, vb]) => {
    const n = norm(h.ref, get(`${at}.norm1`))
    const q = rotate(adapted(linear, n.ref, get(`${at}.q`), qa, qb))
    const k = rotate(linear(n.ref, get(`${at}.k`)))
    const v = heads(adapted(linear, n, get(`${at}.v`), va, vb))
    const p = probabilities(similarity(q, k), mask.ref)
    const middle = h.add(linear(joined(mixture(p, v)), get(`${at}.o`)))
    const second = norm(middle.ref, get(`${at}.norm2`))
    const gate = linear(second.ref, get(`${at}.gate`))
    const inner = gated(gate, linear(second, get(`${at}.up`)))
    return middle.add(linear(inner, get(`${at}.down`)))
  }
  const head = h => linear(norm(h, get('norm')), get('lm_head'))
  return { layer, head }
}

/** The tokens as inputs (offset 0) or targets (1), [B·S]. */
function tokensAt({ data }, offset) {
  const { batch: B, sequence: S } = LLAMA
  const at = i => Math.floor(i / S) * (S + 1) + (i % S) + offset
  return Int32Array.from({ length: B * S }, (_, i) => data[at(i)])
}

/** 1 where a row's target is, else 0. */
function oneHot(targets, classes) {
  const rows = new Float32Array(targets.length * classes)
  targets.forEach((token, row) => {
    rows[row * classes + token] = 1
  })
  return np.array(rows, { shape: [targets.length, classes] })
}

function causalMask(S) {
  const blocked = (_, i) => (i % S > Math.floor(i / S) ? -1e9 : 0)
  return np.array(Float32Array.from({ length: S * S }, blocked), { shape: [S, S] })
}

function transformer(tensors, { lr }, whole) {
  const { sequence, vocabulary, layers } = LLAMA
  const [params, frozen] = [{}, {}]
  for (const [name, tensor] of Object.entries(tensors)) {
    if (name !== 'tokens') {
      const group = /\.[ab]$/.test(name) ? params : frozen
      group[name] = constant(tensor)
    }
  }
  const input = np.array(tokensAt(tensors.tokens, 0), { dtype: np.int32 })
  const targets = oneHot(tokensAt(tensors.tokens, 1), vocabulary)
  const around = whole ? f => f : jit
  const { layer, head } = decoder(frozen, rotation(LLAMA), causalMask(sequence), around)
  const crossEntropy = around((logits, targets) =>
    np.mean(np.sum(nn.logSoftmax(logits, -1).mul(targets), 1)).neg(),
  )
  const loss = p => {
    let h = np.take(frozen.embed.ref, input.ref, 0)
    for (let i = 0; i < layers; i++) {
      const own = ['q.a', 'q.b', 'v.a', 'v.b'].map(name => p[`layers.${i}.${name}`])
      h = layer(h, `layers.${i}`, own)
    }
    return crossEntropy(head(h), targets.ref)
  }
  return training(loss, params, undefined, lr, whole)
}

/** A run of one workload; see worker.mjs. */
export async function create(workload, tensors, variant, device) {
  if (!(await init(device)).includes(device)) {
    throw new Error(`jax-js has no backend ${device} here`)
  }
  defaultDevice(device)
  const kinds = { product: products, lora, full, transformer }
  const run = kinds[workload.kind](tensors, { ...workload, device }, variant !== 'tuned')
  return { ...run, version }
}
