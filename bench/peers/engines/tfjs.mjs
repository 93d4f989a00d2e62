// TensorFlow.js on its WASM or WebGPU backend: `written` as its documentation shows, `tuned` as only a
// profile teaches. On WASM only a two-dimensional product without transposes takes its fast path, and its own gradients
// use transposes: tuned replaces each product by one with explicit transposes and gradients of its own,
// keeps W twice, and walks through the heads of attention one by one.
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { ADAMW, LLAMA, SCALE } from '../workloads.mjs'

const require = createRequire(import.meta.url)
const tf = require('@tensorflow/tfjs')

const constant = ({ data, shape }) =>
  tf.tensor(data, shape, data instanceof Int32Array ? 'int32' : 'float32')

const turned = x => tf.tidy(() => tf.transpose(x))

/** x·Wᵀ as documented. */
const written = {
  frozen: w => x => tf.matMul(x, w, false, true),
  trained: (x, w) => tf.matMul(x, w, false, true),
  attention(q, k, v, mask) {
    const scores = tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(LLAMA.headDim))
    return tf.matMul(tf.softmax(tf.add(scores, mask)), v)
  },
}

/** x·Wᵀ with the gradient of x alone; both layouts of W are kept. */
function tunedFrozen(w) {
  const wT = turned(w)
  return tf.customGrad(x => ({
    value: tf.matMul(x, wT),
    gradFunc: dy => tf.matMul(dy, w),
  }))
}

const tunedTrained = tf.customGrad((x, w, save) => {
  save([x, w])
  return {
    value: tf.matMul(x, tf.transpose(w)),
    gradFunc: (dy, [x, w]) => [tf.matMul(dy, w), tf.matMul(tf.transpose(dy), x)],
  }
})

const matrix = x => tf.reshape(x, x.shape.slice(-2))
const T = tf.transpose

/** The matrices of the heads, [B·H, …]: a slice takes as long as its product, so each is taken once. */
const heads = x =>
  tf.split(tf.reshape(x, [-1, ...x.shape.slice(-2)]), x.shape[0] * x.shape[1]).map(matrix)
const together = (parts, shape) => tf.reshape(tf.concat(parts), shape)

/** Attention head by head, since the batched product is a scalar loop. */
function tunedAttention(q, k, v, mask) {
  const scale = 1 / Math.sqrt(LLAMA.headDim)
  const run = tf.customGrad((q, k, v, save) => {
    const [qs, ks, vs] = [q, k, v].map(heads)
    const ps = qs.map((own, i) => tf.softmax(tf.add(tf.mul(tf.matMul(own, T(ks[i])), scale), mask)))
    save([...qs, ...ks, ...vs, ...ps])
    const value = together(
      ps.map((p, i) => tf.matMul(p, vs[i])),
      q.shape,
    )
    return { value, gradFunc: (dy, saved) => attentionGradients(dy, saved, scale) }
  })
  return run(q, k, v)
}

function attentionGradients(dy, saved, scale) {
  const dys = heads(dy)
  const of = (list, i) => saved[list * dys.length + i]
  const each = dys.map((d, i) => {
    const [q, k, v, p] = [0, 1, 2, 3].map(list => of(list, i))
    const dp = tf.matMul(d, T(v))
    const ds = tf.mul(tf.mul(p, tf.sub(dp, tf.sum(tf.mul(dp, p), -1, true))), scale)
    return [tf.matMul(ds, k), tf.matMul(T(ds), q), tf.matMul(T(p), d)]
  })
  return [0, 1, 2].map(which =>
    together(
      each.map(parts => parts[which]),
      dy.shape,
    ),
  )
}

const tuned = { frozen: tunedFrozen, trained: tunedTrained, attention: tunedAttention }

/** AdamW: TensorFlow.js has Adam; the decay is applied before it. */
function adamw(lr) {
  const { beta1, beta2, eps, weightDecay } = ADAMW
  const adam = tf.train.adam(lr, beta1, beta2, eps)
  return (variables, gradients) => {
    for (const variable of Object.values(variables)) {
      variable.assign(tf.mul(variable, 1 - lr * weightDecay))
    }
    adam.applyGradients(gradients)
  }
}

function training(loss, trained, inputs, lr) {
  const update = adamw(lr)
  const all = { ...trained, ...inputs }
  const compute = () => tf.variableGrads(loss, Object.values(all))
  const named = (names, grads) =>
    Object.fromEntries(names.map(name => [all[name].name, grads[all[name].name]]))
  return {
    async step() {
      const loss = tf.tidy(() => {
        const { value, grads } = compute()
        update(trained, named(Object.keys(trained), grads))
        return value
      })
      const [number] = await loss.data()
      loss.dispose()
      return number
    },
    gradients() {
      const { grads } = compute()
      return dataOf(Object.entries(all).map(([name, { name: key }]) => [name, grads[key]]))
    },
    parameters: () => dataOf(Object.entries(trained)),
  }
}

async function dataOf(tensors) {
  const read = await Promise.all(tensors.map(async ([name, x]) => [name, (await x.data()).slice()]))
  return Object.fromEntries(read)
}

/** Products one after the other, waited for once. */
async function inARow(run, calls) {
  for (let i = 1; i < calls; i++) {
    tf.tidy(() => void run())
  }
  const first = tf.tidy(() => tf.slice(run(), [0, 0], [1, 1]))
  await first.data()
  first.dispose()
}

function product(ops, tensors) {
  const [x, w] = [constant(tensors.x), constant(tensors.w)]
  // The weight of a product that is only computed forwards is kept transposed, once.
  const wT = ops === tuned ? turned(w) : undefined
  const run = wT ? () => tf.matMul(x, wT) : () => ops.frozen(w)(x)
  return {
    result: () => run().data(),
    step: () => tf.tidy(() => void run()),
    steps: tf.getBackend() === 'webgpu' ? calls => inARow(run, calls) : undefined,
  }
}

/** A mean by rows first: over all elements at once its sum in one float32 is off by 1e-4. */
const mse = (y, t) => tf.mean(tf.mean(tf.squaredDifference(y, t), 1))

function lora(ops, tensors, { lr }) {
  const [w, t] = [constant(tensors.w), constant(tensors.t)]
  const [a, b, x] = ['a', 'b', 'x'].map(name => tf.variable(constant(tensors[name])))
  const base = ops.frozen(w)
  const loss = () => {
    const update = ops.trained(ops.trained(x, a), b)
    return mse(tf.add(base(x), tf.mul(update, SCALE)), t)
  }
  return training(loss, { a, b }, { x }, lr)
}

function full(ops, tensors, { lr }) {
  const t = constant(tensors.t)
  const [w, x] = ['w', 'x'].map(name => tf.variable(constant(tensors[name])))
  return training(() => mse(ops.trained(x, w), t), { w }, { x }, lr)
}

/** cos and sin [T, D] of the rotation, both halves alike. */
function rotation({ sequence, headDim, theta }) {
  const half = headDim / 2
  const angle = i => Math.floor(i / headDim) * theta ** (-(2 * (i % half)) / headDim)
  const table = f => Float32Array.from({ length: sequence * headDim }, (_, i) => f(angle(i)))
  return [Math.cos, Math.sin].map(f => tf.tensor(table(f), [sequence, headDim]))
}

function transformer(ops, tensors, { lr }) {
  const { batch: B, sequence: S, heads: H, headDim: D, width, vocabulary, layers, eps } = LLAMA
  const trained = {}
  const get = name => constant(tensors[name])
  for (const name of Object.keys(tensors)) {
    if (/\.[ab]$/.test(name)) {
      trained[name] = tf.variable(get(name))
    }
  }
  const frozen = {}
  for (const [name, { shape }] of Object.entries(tensors)) {
    const adapter = /\.[ab]$/.test(name)
    if (shape.length === 2 && !adapter && name !== 'tokens' && name !== 'embed') {
      frozen[name] = ops.frozen(get(name))
    }
  }
  const norms = Object.fromEntries(
    Object.keys(tensors)
      .filter(name => name.includes('norm'))
      .map(name => [name, get(name)]),
  )
  const tokens = get('tokens')
  const input = tf.reshape(tf.slice(tokens, [0, 0], [B, S]), [B * S])
  const answers = tf.oneHot(tf.reshape(tf.slice(tokens, [0, 1], [B, S]), [B * S]), vocabulary)
  const targets = tf.cast(answers, 'float32')
  const embed = get('embed')
  const [cos, sin] = rotation(LLAMA)
  const blocked = Float32Array.from({ length: S * S }, (_, i) =>
    i % S > Math.floor(i / S) ? -1e9 : 0,
  )
  const mask = tf.tensor(blocked, [S, S])

  const norm = (x, name) =>
    tf.mul(tf.mul(x, tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), eps))), norms[name])
  const split = x => tf.transpose(tf.reshape(x, [B, S, H, D]), [0, 2, 1, 3])
  const rotate = x => {
    const [first, second] = tf.split(x, 2, -1)
    return tf.add(tf.mul(x, cos), tf.mul(tf.concat([tf.neg(second), first], -1), sin))
  }
  const adapted = (x, name) => {
    const update = ops.trained(ops.trained(x, trained[`${name}.a`]), trained[`${name}.b`])
    return tf.add(frozen[name](x), tf.mul(update, SCALE))
  }
  const attention = (x, at) => {
    const q = rotate(split(adapted(x, `${at}.q`)))
    const k = rotate(split(frozen[`${at}.k`](x)))
    const v = split(adapted(x, `${at}.v`))
    const y = ops.attention(q, k, v, mask)
    const mixed = tf.reshape(tf.transpose(y, [0, 2, 1, 3]), [B * S, width])
    return frozen[`${at}.o`](mixed)
  }
  const mlp = (x, at) => {
    const gate = frozen[`${at}.gate`](x)
    const inner = tf.mul(tf.mul(gate, tf.sigmoid(gate)), frozen[`${at}.up`](x))
    return frozen[`${at}.down`](inner)
  }
  const loss = () => {
    let h = tf.gather(embed, input)
    for (let i = 0; i < layers; i++) {
      const at = `layers.${i}`
      h = tf.add(h, attention(norm(h, `${at}.norm1`), at))
      h = tf.add(h, mlp(norm(h, `${at}.norm2`), at))
    }
    return tf.losses.softmaxCrossEntropy(targets, frozen.lm_head(norm(h, 'norm')))
  }
  return training(loss, trained, {}, lr)
}

function useWasm() {
  const wasm = require('@tensorflow/tfjs-backend-wasm')
  const entry = require.resolve('@tensorflow/tfjs-backend-wasm')
  wasm.setWasmPaths(`${dirname(entry)}/`)
  tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', false)
}

/** A run of one workload; see worker.mjs. */
export async function create(workload, tensors, variant, device) {
  if (device === 'webgpu') {
    require('@tensorflow/tfjs-backend-webgpu')
  } else {
    useWasm()
  }
  if (!(await tf.setBackend(device))) {
    throw new Error(`TensorFlow.js has no backend ${device} here`)
  }
  await tf.ready()
  const ops = variant === 'tuned' ? tuned : written
  const kinds = { product, lora, full, transformer }
  const run = kinds[workload.kind](ops, tensors, workload)
  return { ...run, version: tf.version_core, heap: () => tf.memory().numBytes / 1048576 }
}
