// What llama.cpp calls the layers of a model, and in which order it keeps rows of some of them.
// Llama and Mistral: the rows of q and k, and so of their B, go from halves to pairs, because llama.cpp
// rotates neighbours: B.reshape(heads, 2, D / 2, r).swapaxes(1, 2). GPT-NeoX: rows of the fused q/k/v go
// from (head, q/k/v) to (q/k/v, head). All others are as PEFT has them.
// Source: llama.cpp, gguf-py/gguf/tensor_mapping.py and convert_hf_to_gguf.py.

/** Row i of the result is row `source(i)` of B. */
export type RowOrder = (i: number) => number

/** The sizes of a base that decide about the order of rows. */
export interface HeadSizes {
  readonly heads: number
  readonly keyHeads: number
}

export interface GgufArchitecture {
  readonly name: string
  /** Names inside a block, by the path inside it in the Hugging Face model. */
  readonly inBlock: Readonly<Record<string, string>>
  /** Names outside the blocks, by path. */
  readonly outside: Readonly<Record<string, string>>
  /** The path of a block, with its number. */
  readonly block: RegExp
  /** How rows of B are ordered; absent: as they are. */
  rowOrder?(name: string, rows: number, sizes: HeadSizes): RowOrder | undefined
}

const DECODER_BLOCK = {
  'self_attn.q_proj': 'attn_q',
  'self_attn.k_proj': 'attn_k',
  'self_attn.v_proj': 'attn_v',
  'self_attn.o_proj': 'attn_output',
  'mlp.gate_proj': 'ffn_gate',
  'mlp.up_proj': 'ffn_up',
  'mlp.down_proj': 'ffn_down',
}

const DECODER = {
  inBlock: DECODER_BLOCK,
  outside: { 'model.embed_tokens': 'token_embd', lm_head: 'output' },
  block: /^model\.layers\.(\d+)\.(.+)$/,
}

/** From halves to pairs within each head. */
function pairsOfHalves(rows: number, heads: number): RowOrder {
  const size = rows / heads
  return i => {
    const head = Math.floor(i / size)
    const within = i % size
    return head * size + (within % 2) * (size / 2) + Math.floor(within / 2)
  }
}

/** From (head, part) to (part, head), three parts of D rows for each head. */
function partsOfHeads(rows: number, heads: number): RowOrder {
  const size = rows / heads / 3
  return i => {
    const row = i % size
    const block = Math.floor(i / size)
    return (block % heads) * 3 * size + Math.floor(block / heads) * size + row
  }
}

function decoder(name: string, own?: Partial<GgufArchitecture>): GgufArchitecture {
  return { name, ...DECODER, ...own }
}

const LLAMA: GgufArchitecture = /* @__PURE__ */ decoder('llama', {
  rowOrder(name, rows, { heads, keyHeads }) {
    if (name === 'attn_q') {
      return pairsOfHalves(rows, heads)
    }
    return name === 'attn_k' ? pairsOfHalves(rows, keyHeads) : undefined
  },
})

const GPT2: GgufArchitecture = {
  name: 'gpt2',
  inBlock: {
    'attn.c_attn': 'attn_qkv',
    'attn.c_proj': 'attn_output',
    'mlp.c_fc': 'ffn_up',
    'mlp.c_proj': 'ffn_down',
  },
  outside: { 'transformer.wte': 'token_embd', 'transformer.wpe': 'position_embd' },
  block: /^transformer\.h\.(\d+)\.(.+)$/,
}

const GPT_NEOX: GgufArchitecture = {
  name: 'gptneox',
  inBlock: {
    'attention.query_key_value': 'attn_qkv',
    'attention.dense': 'attn_output',
    'mlp.dense_h_to_4h': 'ffn_up',
    'mlp.dense_4h_to_h': 'ffn_down',
  },
  outside: { 'gpt_neox.embed_in': 'token_embd', embed_out: 'output' },
  block: /^gpt_neox\.layers\.(\d+)\.(.+)$/,
  rowOrder: (name, rows, { heads }) =>
    name === 'attn_qkv' ? partsOfHeads(rows, heads) : undefined,
}

const PHI3: GgufArchitecture = /* @__PURE__ */ decoder('phi3', {
  inBlock: {
    'self_attn.qkv_proj': 'attn_qkv',
    'self_attn.o_proj': 'attn_output',
    'mlp.gate_up_proj': 'ffn_up',
    'mlp.down_proj': 'ffn_down',
  },
})

const BERT: GgufArchitecture = {
  name: 'bert',
  inBlock: {
    'attention.self.query': 'attn_q',
    'attention.self.key': 'attn_k',
    'attention.self.value': 'attn_v',
    'attention.output.dense': 'attn_output',
    'intermediate.dense': 'ffn_up',
    'output.dense': 'ffn_down',
  },
  outside: { 'embeddings.word_embeddings': 'token_embd' },
  block: /^(?:bert\.)?encoder\.layer\.(\d+)\.(.+)$/,
}

/** By the class that the base's configuration names. */
export const GGUF_ARCHITECTURES: Readonly<Record<string, GgufArchitecture>> = {
  LlamaForCausalLM: LLAMA,
  MistralForCausalLM: LLAMA,
  Qwen2ForCausalLM: /* @__PURE__ */ decoder('qwen2'),
  Qwen3ForCausalLM: /* @__PURE__ */ decoder('qwen3'),
  GemmaForCausalLM: /* @__PURE__ */ decoder('gemma'),
  Gemma2ForCausalLM: /* @__PURE__ */ decoder('gemma2'),
  Gemma3ForCausalLM: /* @__PURE__ */ decoder('gemma3'),
  Phi3ForCausalLM: PHI3,
  GPT2LMHeadModel: GPT2,
  GPTNeoXForCausalLM: GPT_NEOX,
  BertModel: BERT,
}

/** llama.cpp's name of a layer, without `.weight`; undefined for one that it lacks. */
export function ggufName(
  { block, inBlock, outside }: GgufArchitecture,
  path: string,
): { readonly full: string; readonly short: string } | undefined {
  const match = block.exec(path)
  const short = match ? inBlock[match[2]] : outside[path]
  if (short === undefined) {
    return undefined
  }
  return { short, full: match ? `blk.${match[1]}.${short}` : short }
}
