// Llama (Touvron et al. 2023, arXiv 2302.13971; grouped-query attention: Ainslie et al. 2023, arXiv
// 2305.13245): pre-norm decoder with RMSNorm, rotary embeddings, causal attention and SwiGLU.
//
//   h ← h + o(attention(rope(q(n)), rope(k(n)), v(n))),  n = norm(h)
//   h ← h + down(silu(gate(n)) · up(n)),                 n = norm(h)
//
// Names of parameters are transformers'.

import type { Tensor } from '../core/tensor.ts'
import { Embedding } from '../nn/embedding.ts'
import type { KVCache } from '../nn/kv_cache.ts'
import { Linear } from '../nn/linear.ts'
import { Module } from '../nn/module.ts'
import { RMSNorm } from '../nn/norm.ts'
import {
  type RopeConfig,
  RopeTables,
  readRopeConfig,
  stretchedPositions,
} from '../nn/rope_tables.ts'
import { add } from '../ops/add.ts'
import { scaledDotProductAttention } from '../ops/attention.ts'
import { reshape } from '../ops/reshape.ts'
import { rope } from '../ops/rope.ts'
import { swiglu } from '../ops/swiglu.ts'
import { CausalLM } from './causal_lm.ts'
import { ConfigReader, type Json } from './config.ts'
import type { DecoderBody, DecoderParts, DecoderSizes, ForwardOptions } from './decoder.ts'

export interface LlamaConfig extends DecoderSizes {
  readonly hiddenSize: number
  readonly intermediateSize: number
  readonly numHeads: number
  readonly rmsNormEps: number
  readonly attentionBias: boolean
  readonly mlpBias: boolean
  readonly tieWordEmbeddings: boolean
  /** The token whose row of the embedding gets no gradient. */
  readonly padTokenId?: number
  readonly rope: RopeConfig
}

/** `pad_token_id`, counted from the end if below 0, where the vocabulary has it. */
function paddingOf(reader: ConfigReader, vocabSize: number): number | undefined {
  const [token = vocabSize] = reader.tokens('pad_token_id')
  const padding = token < 0 ? token + vocabSize : token
  return padding >= 0 && padding < vocabSize ? padding : undefined
}

/** Reads config.json; throws a `config` error that lists everything wrong. */
export function readLlamaConfig(where: string, json: unknown): LlamaConfig {
  const reader = new ConfigReader(where, json)
  const hiddenSize = reader.size('hidden_size')
  const numHeads = reader.size('num_attention_heads')
  const numKeyValueHeads = reader.size('num_key_value_heads', numHeads)
  const headDim = reader.size('head_dim', Math.floor(hiddenSize / numHeads))
  if (numHeads % numKeyValueHeads !== 0) {
    reader.problem(
      `num_key_value_heads: expected a divisor of ${numHeads} heads, got ${numKeyValueHeads}`,
    )
  }
  reader.choice('hidden_act', ['silu', 'swish'], 'silu')
  const rope = readRopeConfig(where, reader.json, headDim)
  const vocabSize = reader.size('vocab_size')
  // Only checked here: the rotary embeddings may reach beyond it.
  reader.size('max_position_embeddings', 2048)
  const config: LlamaConfig = {
    vocabSize,
    maxPositionEmbeddings: stretchedPositions(rope),
    numLayers: reader.size('num_hidden_layers'),
    numKeyValueHeads,
    headDim,
    eosTokenIds: reader.tokens('eos_token_id'),
    hiddenSize,
    intermediateSize: reader.size('intermediate_size'),
    numHeads,
    rmsNormEps: reader.number('rms_norm_eps', 1e-6),
    attentionBias: reader.flag('attention_bias', false),
    mlpBias: reader.flag('mlp_bias', false),
    tieWordEmbeddings: reader.flag('tie_word_embeddings', false),
    padTokenId: paddingOf(reader, vocabSize),
    rope,
  }
  reader.finish()
  return config
}

/** What every layer of one forward pass shares. */
interface Pass {
  readonly cos: Tensor
  readonly sin: Tensor
  readonly mask: Tensor | undefined
}

class LlamaAttention extends Module {
  readonly #config: LlamaConfig
  readonly q_proj: Linear
  readonly k_proj: Linear
  readonly v_proj: Linear
  readonly o_proj: Linear

  constructor(config: LlamaConfig) {
    super()
    const { hiddenSize, numHeads, numKeyValueHeads, headDim, attentionBias: bias } = config
    this.#config = config
    this.q_proj = new Linear(hiddenSize, numHeads * headDim, { bias })
    this.k_proj = new Linear(hiddenSize, numKeyValueHeads * headDim, { bias })
    this.v_proj = new Linear(hiddenSize, numKeyValueHeads * headDim, { bias })
    this.o_proj = new Linear(numHeads * headDim, hiddenSize, { bias })
  }

  forward(x: Tensor, pass: Pass, cache?: KVCache): Tensor {
    const { numHeads, numKeyValueHeads, headDim } = this.#config
    const [B, T] = x.shape
    const heads = (y: Tensor, H: number): Tensor => reshape(y, [B, T, H, headDim])
    const past = cache?.length ?? 0
    const q = rope(heads(this.q_proj.forward(x), numHeads), pass.cos, pass.sin, { offset: past })
    const k = rope(heads(this.k_proj.forward(x), numKeyValueHeads), pass.cos, pass.sin, {
      offset: past,
    })
    const v = heads(this.v_proj.forward(x), numKeyValueHeads)
    const { keys, values, length } = cache?.append(k, v) ?? { keys: k, values: v, length: T }
    const y = scaledDotProductAttention(q, keys, values, {
      isCausal: true,
      enableGqa: true,
      queryOffset: past,
      keyLength: length,
      mask: pass.mask,
    })
    return this.o_proj.forward(reshape(y, [B, T, numHeads * headDim]))
  }
}

class LlamaMLP extends Module {
  readonly gate_proj: Linear
  readonly up_proj: Linear
  readonly down_proj: Linear

  constructor({ hiddenSize, intermediateSize, mlpBias: bias }: LlamaConfig) {
    super()
    this.gate_proj = new Linear(hiddenSize, intermediateSize, { bias })
    this.up_proj = new Linear(hiddenSize, intermediateSize, { bias })
    this.down_proj = new Linear(intermediateSize, hiddenSize, { bias })
  }

  forward(x: Tensor): Tensor {
    return this.down_proj.forward(swiglu(this.gate_proj.forward(x), this.up_proj.forward(x)))
  }
}

class LlamaDecoderLayer extends Module {
  readonly self_attn: LlamaAttention
  readonly mlp: LlamaMLP
  readonly input_layernorm: RMSNorm
  readonly post_attention_layernorm: RMSNorm

  constructor(config: LlamaConfig) {
    super()
    const eps = config.rmsNormEps
    this.self_attn = new LlamaAttention(config)
    this.mlp = new LlamaMLP(config)
    this.input_layernorm = new RMSNorm(config.hiddenSize, { eps })
    this.post_attention_layernorm = new RMSNorm(config.hiddenSize, { eps })
  }

  forward(x: Tensor, pass: Pass, cache?: KVCache): Tensor {
    const h = add(x, this.self_attn.forward(this.input_layernorm.forward(x), pass, cache))
    return add(h, this.mlp.forward(this.post_attention_layernorm.forward(h)))
  }
}

class LlamaModel extends Module implements DecoderBody {
  readonly #config: LlamaConfig
  readonly #rope: RopeTables
  readonly embed_tokens: Embedding
  readonly layers: LlamaDecoderLayer[]
  readonly norm: RMSNorm

  constructor(config: LlamaConfig) {
    super()
    this.#config = config
    this.embed_tokens = new Embedding(config.vocabSize, config.hiddenSize, {
      paddingIdx: config.padTokenId,
    })
    this.layers = Array.from({ length: config.numLayers }, () => new LlamaDecoderLayer(config))
    this.norm = new RMSNorm(config.hiddenSize, { eps: config.rmsNormEps })
    this.#rope = new RopeTables(config.rope, config.maxPositionEmbeddings)
  }

  forward(inputIds: Tensor, { attentionMask, cache }: ForwardOptions): Tensor {
    const [B, T] = inputIds.shape
    const columns = (cache?.length ?? 0) + T
    const { cos, sin } = this.#rope.upTo(Math.min(columns, this.#config.maxPositionEmbeddings))
    const mask = attentionMask && reshape(attentionMask, [B, 1, 1, columns])
    let h = this.embed_tokens.forward(inputIds)
    for (const [i, layer] of this.layers.entries()) {
      h = layer.forward(h, { cos, sin, mask }, cache?.layers[i])
    }
    return this.norm.forward(h)
  }
}

/**
 * A Llama model with its head: inputIds [B, T] to logits [B, T, V].
 *
 * @example
 * ```ts
 * import { tensor } from 'lowrank'
 * import { LlamaForCausalLM, readLlamaConfig } from 'lowrank/models'
 *
 * const config = readLlamaConfig('example', {
 *   vocab_size: 16, hidden_size: 8, intermediate_size: 16, num_hidden_layers: 1,
 *   num_attention_heads: 2,
 * })
 * const model = new LlamaForCausalLM(config)
 * console.log(model.forward(tensor([1, 2, 3], [1, 3], { dtype: 'int32' })).shape) // [1, 3, 16]
 * ```
 */
export class LlamaForCausalLM extends CausalLM {
  override readonly modelType: string = 'llama'
  override readonly inputLayer: string = 'model.embed_tokens'
  override readonly outputLayer: string = 'lm_head'
  override readonly originalVocabSize: number
  config: LlamaConfig
  readonly model: LlamaModel
  readonly lm_head: Linear

  constructor(config: LlamaConfig) {
    super()
    this.config = config
    this.originalVocabSize = config.vocabSize
    this.model = new LlamaModel(config)
    this.lm_head = new Linear(config.hiddenSize, config.vocabSize, { bias: false })
    if (config.tieWordEmbeddings) {
      this.lm_head.weight = this.model.embed_tokens.weight
    }
  }

  override get sizes(): DecoderSizes {
    return this.config
  }

  override setVocabSize(vocabSize: number): void {
    const { padTokenId = vocabSize } = this.config
    const kept = padTokenId < vocabSize ? padTokenId : undefined
    this.config = { ...this.config, vocabSize, padTokenId: kept }
  }

  override sameShape(): LlamaForCausalLM {
    return new LlamaForCausalLM(this.config)
  }

  forward(inputIds: Tensor, options: ForwardOptions = {}): Tensor {
    return this.logits(this.hidden(inputIds, options), options)
  }

  protected override body(): LlamaModel {
    return this.model
  }

  protected override head(): Linear {
    return this.lm_head
  }
}

export function createLlama(where: string, json: Json): LlamaForCausalLM {
  return new LlamaForCausalLM(readLlamaConfig(where, json))
}

/** A Llama model without its head, for another layer on top. */
export function llamaParts(where: string, json: Json): DecoderParts {
  const config = readLlamaConfig(where, json)
  return {
    modelType: 'llama',
    sizes: config,
    hiddenSize: config.hiddenSize,
    body: new LlamaModel(config),
    inputLayer: 'embed_tokens',
  }
}
