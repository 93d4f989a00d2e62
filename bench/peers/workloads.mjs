// The workloads, to the bit, so that every engine, in whatever language, computes with the same numbers.
//   G/MxKxN       C = x·Wᵀ, x [M, K], W [N, K]
//   L/lora-…      y = x·Wᵀ + 2·(x·Aᵀ)·Bᵀ, loss = mean((y − t)²), gradients of A, B and x, AdamW on A and B
//   L/full-…      y = x·Wᵀ, the same loss, gradients of W and x, AdamW on W
//   T/…           a Llama-like transformer of two layers, LoRA on q and v, cross-entropy of the next token
// The seed of a tensor is FNV-1a (32 bit) of "<workload>/<tensor>"; the generator is mulberry32, one draw u
// per element, row-major: v = (u >>> 8) / 2²³ − 1, the element offset + scale·v in float64, rounded once to
// float32. Tokens are u mod vocabulary.

/** AdamW as `torch.optim.AdamW`: everything but the rate, which is the workload's. */
export const ADAMW = { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.1 }

/** alpha / r of every adapter. */
export const SCALE = 2

/** The transformer of T. */
export const LLAMA = {
  layers: 2,
  width: 256,
  heads: 4,
  headDim: 64,
  feedForward: 704,
  vocabulary: 512,
  sequence: 128,
  batch: 4,
  rank: 8,
  eps: 1e-5,
  theta: 10000,
}

function fnv1a(text) {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  }
  return hash >>> 0
}

/** The next 32 bits of mulberry32, with each call. */
function mulberry32(seed) {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return (t ^ (t >>> 14)) >>> 0
  }
}

/** The elements of one tensor of a workload. */
export function numbers(workload, { name, shape, scale = 1, offset = 0, modulus }) {
  const draw = mulberry32(fnv1a(`${workload}/${name}`))
  const count = shape.reduce((product, size) => product * size, 1)
  if (modulus) {
    return Int32Array.from({ length: count }, () => draw() % modulus)
  }
  return Float32Array.from({ length: count }, () => offset + scale * ((draw() >>> 8) / 2 ** 23 - 1))
}

function product(M, K, N) {
  return {
    name: `G/${M}x${K}x${N}`,
    kind: 'product',
    sizes: { M, K, N },
    tensors: [
      { name: 'x', shape: [M, K] },
      { name: 'w', shape: [N, K] },
    ],
    flops: 2 * M * K * N,
  }
}

function lora(I, O, r, rows) {
  const [a, b] = [1 / Math.sqrt(I), 0.05]
  return {
    name: `L/lora-${I}x${O}-r${r}-t${rows}`,
    kind: 'lora',
    sizes: { I, O, r, rows },
    lr: 1e-2,
    tensors: [
      { name: 'x', shape: [rows, I], scale: Math.sqrt(3) },
      { name: 't', shape: [rows, O], scale: Math.sqrt(3) },
      { name: 'w', shape: [O, I], scale: Math.sqrt(3 / I) },
      { name: 'a', shape: [r, I], scale: a },
      { name: 'b', shape: [O, r], scale: b },
    ],
    flops: 2 * rows * (2 * I * O + 3 * r * (I + O)),
  }
}

function full(I, O, rows) {
  return {
    name: `L/full-${I}x${O}-t${rows}`,
    kind: 'full',
    sizes: { I, O, rows },
    lr: 1e-3,
    tensors: [
      { name: 'x', shape: [rows, I], scale: Math.sqrt(3) },
      { name: 't', shape: [rows, O], scale: Math.sqrt(3) },
      { name: 'w', shape: [O, I], scale: Math.sqrt(3 / I) },
    ],
    flops: 6 * rows * I * O,
  }
}

function layerTensors(layer) {
  const { width: d, feedForward: f, rank: r } = LLAMA
  const [wide, adapter] = [Math.sqrt(3 / d), 1 / Math.sqrt(d)]
  const at = name => `layers.${layer}.${name}`
  return [
    { name: at('norm1'), shape: [d], scale: 0.1, offset: 1 },
    ...['q', 'k', 'v', 'o'].map(name => ({ name: at(name), shape: [d, d], scale: wide })),
    ...['q', 'v'].flatMap(name => [
      { name: at(`${name}.a`), shape: [r, d], scale: adapter },
      { name: at(`${name}.b`), shape: [d, r], scale: 0.05 },
    ]),
    { name: at('norm2'), shape: [d], scale: 0.1, offset: 1 },
    ...['gate', 'up'].map(name => ({ name: at(name), shape: [f, d], scale: wide })),
    { name: at('down'), shape: [d, f], scale: Math.sqrt(3 / f) },
  ]
}

function transformer() {
  const { layers, width, heads, feedForward, vocabulary, sequence, batch, rank } = LLAMA
  const rows = batch * sequence
  const linear = layers * (4 * width * width + 3 * width * feedForward) + width * vocabulary
  const adapters = layers * 2 * rank * 2 * width
  const attention = layers * heads * batch * sequence * sequence * LLAMA.headDim
  return {
    name: `T/l${layers}-d${width}-h${heads}-ff${feedForward}-v${vocabulary}-s${sequence}-b${batch}-r${rank}`,
    kind: 'transformer',
    sizes: LLAMA,
    lr: 1e-2,
    tensors: [
      { name: 'tokens', shape: [batch, sequence + 1], modulus: vocabulary },
      { name: 'embed', shape: [vocabulary, width] },
      ...Array.from({ length: layers }, (_, layer) => layerTensors(layer)).flat(),
      { name: 'norm', shape: [width], scale: 0.1, offset: 1 },
      { name: 'lm_head', shape: [vocabulary, width], scale: Math.sqrt(3 / width) },
    ],
    flops: 2 * rows * (2 * linear + 3 * adapters) + 6 * 2 * attention,
  }
}

const SQUARES = [64, 128, 256, 512, 1024]
const SKINNY = [
  [256, 768, 8],
  [256, 8, 768],
  [256, 2048, 16],
  [256, 16, 2048],
]
const WIDTHS = [768, 2048]
const FEW_ROWS = [1, 4, 8, 16, 32]

/** Every workload, small ones first. */
export const WORKLOADS = [
  ...SQUARES.map(size => product(size, size, size)),
  ...SKINNY.map(([M, K, N]) => product(M, K, N)),
  ...WIDTHS.flatMap(width => FEW_ROWS.map(M => product(M, width, width))),
  lora(64, 64, 4, 32),
  lora(256, 256, 8, 128),
  lora(768, 768, 8, 256),
  lora(2048, 2048, 16, 256),
  full(768, 768, 256),
  full(2048, 2048, 256),
  transformer(),
]

/** What WebGPU is for, small ones first; the first widths are where it begins to pay. */
export const GPU_WORKLOADS = [
  ...[256, 512, 1024, 2048, 4096].map(size => product(size, size, size)),
  lora(256, 256, 8, 128),
  ...[768, 2048, 4096].flatMap(width =>
    [256, 1024].flatMap(rows => [8, 16].map(r => lora(width, width, r, rows))),
  ),
  transformer(),
]

/** A workload by its name. */
export function workloadOf(name) {
  const all = [...WORKLOADS, ...GPU_WORKLOADS]
  const found = all.find(workload => workload.name === name)
  if (!found) {
    throw new Error(`no workload "${name}" (there are: ${all.map(w => w.name).join(', ')})`)
  }
  return found
}

/** All tensors of a workload by name. */
export function tensorsOf({ name, tensors }) {
  return Object.fromEntries(
    tensors.map(spec => [spec.name, { shape: spec.shape, data: numbers(name, spec) }]),
  )
}

/** The names of the tensors that AdamW changes. */
export function trainedNames({ kind, tensors }) {
  const trained = { product: [], lora: ['a', 'b'], full: ['w'] }[kind]
  return trained ?? tensors.map(({ name }) => name).filter(name => /\.[ab]$/.test(name))
}

/** The names of the tensors whose gradient an engine must compute. */
export function gradientNames(workload) {
  const input = workload.kind === 'lora' || workload.kind === 'full' ? ['x'] : []
  return [...trainedNames(workload), ...input]
}
