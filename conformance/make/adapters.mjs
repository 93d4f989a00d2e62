// The adapters of the family export: layers of small models with their factors, as PEFT saves them. Each
// layer's update is s·B·A, s = alpha/r, or alpha/√r if rank-stabilised, with ranks and alphas of patterns.
// Source: PEFT 0.21, tuners/lora/layer.py and utils/save_and_load.py.

import * as M from './matrix.mjs'
import { coarseInputs, inputs } from './philox.mjs'

const LLAMA = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_size: 8,
  intermediate_size: 12,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  num_hidden_layers: 2,
  vocab_size: 16,
  rms_norm_eps: 1e-6,
  tie_word_embeddings: false,
}

const GPT2 = {
  architectures: ['GPT2LMHeadModel'],
  model_type: 'gpt2',
  n_embd: 8,
  n_head: 2,
  n_layer: 2,
  vocab_size: 16,
}

const NEOX = {
  architectures: ['GPTNeoXForCausalLM'],
  model_type: 'gpt_neox',
  hidden_size: 8,
  intermediate_size: 32,
  num_attention_heads: 2,
  num_hidden_layers: 2,
  vocab_size: 16,
}

/** Layers: [out, in], llama.cpp's name, and the order of its rows. */
const LAYERS = {
  llama: {
    'model.embed_tokens': [8, 16, 'token_embd'],
    'self_attn.q_proj': [8, 8, 'attn_q', pairs(2)],
    'self_attn.k_proj': [4, 8, 'attn_k', pairs(1)],
    'self_attn.v_proj': [4, 8, 'attn_v'],
    'self_attn.o_proj': [8, 8, 'attn_output'],
    'mlp.gate_proj': [12, 8, 'ffn_gate'],
    'mlp.up_proj': [12, 8, 'ffn_up'],
    'mlp.down_proj': [8, 12, 'ffn_down'],
  },
  gpt2: {
    'attn.c_attn': [24, 8, 'attn_qkv'],
    'attn.c_proj': [8, 8, 'attn_output'],
    'mlp.c_fc': [32, 8, 'ffn_up'],
    'mlp.c_proj': [8, 32, 'ffn_down'],
  },
  gpt_neox: {
    'attention.query_key_value': [24, 8, 'attn_qkv', thirds(2)],
    'attention.dense': [8, 8, 'attn_output'],
  },
}

const BLOCKS = { llama: 'model.layers.', gpt2: 'transformer.h.', gpt_neox: 'gpt_neox.layers.' }

/** Row i comes from: halves of a head become pairs, which llama.cpp rotates. */
function pairs(heads) {
  return (i, rows) => {
    const size = rows / heads
    const within = i % size
    return i - within + (within % 2) * (size / 2) + Math.floor(within / 2)
  }
}

/** Row i comes from: (head, q/k/v) becomes (q/k/v, head). */
function thirds(heads) {
  return (i, rows) => {
    const size = rows / heads / 3
    const block = Math.floor(i / size)
    return ((block % heads) * 3 + Math.floor(block / heads)) * size + (i % size)
  }
}

/** The value of the first pattern that is the path or its end after a dot. */
function patternValue(patterns, path) {
  const found = Object.keys(patterns).find(key => new RegExp(`(^|.*\\.)${key}$`).test(path))
  return found && patterns[found]
}

/** All adapted layers with their factors and what multiplies the product, in the order of a file's keys. */
export function layersOf(name, { base, targets, config, exact }) {
  const type = base.model_type
  const paths = [0, 1].flatMap(block =>
    targets.map(target => {
      const outside = target.startsWith('model.')
      return { block, target, path: outside ? target : `${BLOCKS[type]}${block}.${target}` }
    }),
  )
  const unique = paths.filter(({ path }, i) => paths.findIndex(p => p.path === path) === i)
  const sorted = unique.sort((a, b) => (a.path < b.path ? -1 : 1))
  return sorted.map(({ block, target, path }) => {
    const [rows, cols, short, order] = LAYERS[type][target]
    const r = patternValue(config.rank_pattern, path) ?? config.r
    const alpha = patternValue(config.alpha_pattern, path) ?? config.lora_alpha
    const draw = exact ? coarseInputs : inputs
    const numbers = (what, m, n) => {
      const data = draw(`${name}/${path}/${what}`, m * n)
      return M.matrix(m, n, (i, j) => data[i * n + j])
    }
    return {
      path,
      r,
      s: alpha / (config.use_rslora ? Math.sqrt(r) : r),
      A: numbers('A', r, cols),
      B: numbers('B', rows, r),
      m: config.use_dora && numbers('m', 1, rows).data.map(v => Math.fround(v + 3)),
      ggufName: target.startsWith('model.') ? short : `blk.${block}.${short}`,
      order: order ?? (i => i),
      embedding: target === 'model.embed_tokens',
    }
  })
}

export const f32 = ({ rows, cols, data }) => ({ dtype: 'F32', shape: [rows, cols], data })

export function peftTensors(layers) {
  const entries = layers.flatMap(({ path, A, B, m, embedding }) => {
    const prefix = `base_model.model.${path}.`
    const key = which => (embedding ? `lora_embedding_${which}` : `lora_${which}.weight`)
    return [
      [prefix + key('A'), f32(A)],
      [prefix + key('B'), f32(B)],
      ...(m
        ? [[`${prefix}lora_magnitude_vector`, { dtype: 'F32', shape: [m.length], data: m }]]
        : []),
    ]
  })
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)))
}

export const sortedJson = value =>
  `${JSON.stringify(Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))), null, 2)}\n`

export const configText = (config, targets) =>
  sortedJson({
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: 'base',
    bias: 'none',
    inference_mode: true,
    init_lora_weights: true,
    lora_bias: false,
    lora_dropout: 0,
    modules_to_save: null,
    peft_version: '0.21.0',
    target_modules: [...new Set(targets.map(target => target.split('.').at(-1)))],
    ...config,
  })

const ATTENTION = ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj', 'self_attn.o_proj']
const MLP = ['mlp.gate_proj', 'mlp.up_proj', 'mlp.down_proj']

const configOf = more => ({
  r: 4,
  lora_alpha: 8,
  use_rslora: false,
  use_dora: false,
  fan_in_fan_out: false,
  rank_pattern: {},
  alpha_pattern: {},
  ...more,
})

/** Ranks are squares, so that √r is whole and folding rounds nothing. */
const PATTERNS = configOf({
  use_rslora: true,
  rank_pattern: { k_proj: 16, 'layers.1.self_attn.q_proj': 1 },
  alpha_pattern: { v_proj: 2, 'model.layers.0.mlp.down_proj': 32 },
})

/** √3: folded numbers are rounded. */
const ROUNDED = configOf({ r: 3, lora_alpha: 5, use_rslora: true, alpha_pattern: { v_proj: 7 } })

/** What is exported, and how. */
export const CASES = {
  gguf_llama_patterns: {
    kind: 'gguf',
    outtype: 'f32',
    base: LLAMA,
    targets: [...ATTENTION, ...MLP],
    config: PATTERNS,
    exact: true,
  },
  gguf_llama_patterns_half: {
    kind: 'gguf',
    outtype: 'f16',
    base: LLAMA,
    targets: ATTENTION,
    config: PATTERNS,
    exact: true,
  },
  gguf_llama_rounded: {
    kind: 'gguf',
    outtype: 'f32',
    base: LLAMA,
    targets: ATTENTION,
    config: ROUNDED,
  },
  gguf_llama_embedding: {
    kind: 'gguf',
    outtype: 'f32',
    base: LLAMA,
    targets: ['model.embed_tokens', ...ATTENTION],
    config: configOf({ rank_pattern: { q_proj: 2 } }),
    exact: true,
  },
  gguf_gpt2: {
    kind: 'gguf',
    outtype: 'f32',
    base: GPT2,
    targets: Object.keys(LAYERS.gpt2),
    config: configOf({ fan_in_fan_out: true }),
    exact: true,
  },
  gguf_neox: {
    kind: 'gguf',
    outtype: 'f32',
    base: NEOX,
    targets: Object.keys(LAYERS.gpt_neox),
    config: configOf({ use_rslora: true }),
    exact: true,
  },
  mlx_one_scale: {
    kind: 'mlx',
    base: LLAMA,
    targets: ATTENTION,
    config: configOf({ r: 3, lora_alpha: 5 }),
  },
  mlx_patterns: {
    kind: 'mlx',
    base: LLAMA,
    targets: [...ATTENTION, ...MLP],
    config: PATTERNS,
    exact: true,
  },
  mlx_rounded: { kind: 'mlx', base: LLAMA, targets: ATTENTION, config: ROUNDED },
  mlx_dora: {
    kind: 'mlx',
    base: LLAMA,
    targets: ATTENTION,
    config: configOf({ use_dora: true }),
    exact: true,
  },
  portable_patterns: {
    kind: 'portable',
    base: LLAMA,
    targets: [...ATTENTION, ...MLP],
    config: PATTERNS,
    exact: true,
  },
  portable_rounded: { kind: 'portable', base: LLAMA, targets: ATTENTION, config: ROUNDED },
  portable_gpt2: {
    kind: 'portable',
    base: GPT2,
    targets: Object.keys(LAYERS.gpt2),
    config: configOf({ fan_in_fan_out: true, rank_pattern: { c_attn: 8 } }),
    exact: true,
  },
}
