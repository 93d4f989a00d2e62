// Adapters as GGUF, against llama.cpp's own converter (golden family `export`).

import { type Directory, encodeSafetensors, parseSafetensors } from 'lowrank/io'
import { exportGguf } from 'lowrank/lora'
import { describe, expect, it } from 'vitest'
import { readGguf } from '../../../src/conformance/export/gguf_reader.ts'
import { describeFamily } from '../../support/conformance.ts'
import { adapterOf, factorShapes, savedAdapter } from './adapters.ts'

await describeFamily('export')

it('writes the encoder of BERT under the names of llama.cpp', async () => {
  const { tensors } = await tensorsOfBert()
  expect([...tensors.keys()]).toEqual([
    'blk.1.attn_q.weight.lora_a',
    'blk.1.attn_q.weight.lora_b',
    'blk.1.ffn_down.weight.lora_a',
    'blk.1.ffn_down.weight.lora_b',
  ])
})

it.each([
  ['LlamaForCausalLM', { num_attention_heads: 5 }],
  ['LlamaForCausalLM', {}],
  ['LlamaForCausalLM', { num_attention_heads: 0 }],
])('refuses heads that do not divide the rows: %s %j', async (architecture, sizes) => {
  const files = await renamed('model.layers.0.self_attn.q_proj', 'model.layers.0.mlp.down_proj')
  const base = { architectures: [architecture], ...sizes }
  await expect(exportGguf(files, base)).rejects.toThrow('heads')
  await expect(exportGguf(files, base)).rejects.toThrow('q_proj')
})

const llama = { architectures: ['LlamaForCausalLM'], num_attention_heads: 2 }
const q = 'model.layers.0.self_attn.q_proj'
const down = 'model.layers.3.mlp.down_proj'

describe('what a GGUF file cannot hold is refused', () => {
  const whole = Object.fromEntries(
    ['a', 'b', 'c', 'd'].map(name => [`base_model.model.${name}.weight`, [2]]),
  )
  const vector = [`base_model.model.${q}.lora_magnitude_vector`, [4]] as const
  const bias = [`base_model.model.${q}.lora_B.bias`, [4]] as const
  const convolution = {
    [`base_model.model.${q}.lora_A.weight`]: [2, 3, 1, 1],
    [`base_model.model.${q}.lora_B.weight`]: [4, 2, 1, 1],
  }
  const factors = factorShapes({ [q]: [4, 3] })

  it.each([
    ['biases', { ...factors, [bias[0]]: bias[1] }, {}, {}, 'no place for the biases of lora_bias'],
    ['magnitudes', { ...factors, [vector[0]]: vector[1] }, {}, {}, 'the magnitudes of DoRA'],
    [
      'magnitudes of one of two layers',
      { ...factorShapes({ [q]: [4, 3], [down]: [4, 3] }), [vector[0]]: vector[1] },
      {},
      {},
      'the magnitudes of DoRA',
    ],
    [
      'a bias of one of two layers',
      { ...factorShapes({ [q]: [4, 3], [down]: [4, 3] }), [bias[0]]: bias[1] },
      {},
      {},
      'the biases of lora_bias',
    ],
    ['DoRA', factors, { use_dora: true }, {}, 'the magnitudes of DoRA'],
    ['a start', factors, { init_lora_weights: 'pissa' }, {}, 'convertToLora'],
    ['convolutions', convolution, {}, {}, 'is a convolution, which llama has none of'],
    ['layers', factorShapes({ 'vision.fc': [4, 3] }), {}, {}, '"vision.fc" has no name in llama'],
    ['heads', factorShapes({ lm_head: [4, 3] }), {}, { tie_word_embeddings: true }, 'is tied'],
    ['classes', factors, {}, { architectures: ['Other'] }, 'BertModel), got "Other"'],
    ['no class', factors, {}, { architectures: undefined }, 'got null'],
  ])('%s', async (_, shapes, config, base, part) => {
    const failure = await exportGguf(adapterOf(shapes, config), { ...llama, ...base }).catch(e => e)
    expect(failure.code).toBe('config')
    expect(failure.message).toContain(part)
    expect(failure.message).not.toContain('problems')
  })

  it('whole modules, three of them by name', async () => {
    const failure = exportGguf(adapterOf({ ...factors, ...whole }), llama)
    await expect(failure).rejects.toThrow('got 4 tensors that are none')
    await expect(failure).rejects.toThrow('a.weight, base_model.model.b.weight, base_model.model.c')
    await expect(failure).rejects.not.toThrow('d.weight')
  })

  it('but not the base of an embedding, nor a head that is not tied', async () => {
    const shapes = {
      'base_model.model.model.embed_tokens.lora_embedding_A': [2, 5],
      'base_model.model.model.embed_tokens.lora_embedding_B': [3, 2],
      'base_model.model.model.embed_tokens.base_layer.weight': [5, 3],
      ...factorShapes({ lm_head: [5, 3] }),
    }
    const { tensors } = readGguf(await exportGguf(adapterOf(shapes), llama))
    const sizes = [...tensors].map(([name, { dims }]) => [name.replace('.weight', ''), dims])
    expect(Object.fromEntries(sizes)).toEqual({
      'output.lora_a': [3, 2],
      'output.lora_b': [2, 5],
      'token_embd.lora_a': [2, 5],
      'token_embd.lora_b': [2, 3],
    })
  })

  it.each([
    ['f16', 65504, undefined],
    ['f16', 65505, 'F16 can hold, got 65505 (choose f32)'],
    ['f16', -65505, 'F16 can hold, got -65505 (choose f32)'],
    ['f32', 65505, undefined],
    ['f32', Number.NaN, 'F32 can hold, got NaN'],
    ['f32', Number.NEGATIVE_INFINITY, 'F32 can hold, got -Infinity'],
  ] as const)('%s for %d', async (outtype, value, part) => {
    const { files } = await savedAdapter({}, undefined, value)
    await rename(files, q, down)
    const made = exportGguf(files, llama, { outtype })
    const failure = await made.then(
      () => undefined,
      error => error,
    )
    expect(failure?.code).toBe(part && 'numeric')
    expect(failure?.message.endsWith(part)).toBe(part && true)
  })
})

describe('a GGUF file', () => {
  it('has the name that it is given, and the alpha of the adapter', async () => {
    const files = adapterOf(factorShapes({ [down]: [4, 3] }), { lora_alpha: 5 })
    const kv = async (options: object) => {
      const { kv: keys } = readGguf(await exportGguf(files, llama, options))
      return [keys['general.name'].value, keys['adapter.lora.alpha'].value]
    }
    expect(await kv({})).toEqual(['Adapter', 5])
    expect(await kv({ name: 'mine' })).toEqual(['mine', 5])
  })

  it('adds nothing where alpha is 0, by which a reader does not multiply', async () => {
    const files = adapterOf(factorShapes({ [down]: [4, 3] }), { lora_alpha: 0 })
    const { tensors } = readGguf(await exportGguf(files, llama))
    const [a, b] = [...tensors.values()].map(({ bytes }) => [...bytes])
    expect(a.some(byte => byte !== 0)).toBe(true)
    expect(b.every(byte => byte === 0)).toBe(true)
  })

  it.each([0.3, 0.7, 1e-3, 2.8284271247461903])(
    'keeps the bits of B where 32 bits cannot hold alpha, which is %d',
    async alpha => {
      const bits = async (lora_alpha: number) => {
        const files = adapterOf(factorShapes({ [down]: [40, 3] }), { lora_alpha })
        const { tensors } = readGguf(await exportGguf(files, llama))
        return [...tensors.values()].map(({ bytes }) => bytes)
      }
      expect(await bits(alpha)).toEqual(await bits(2))
    },
  )

  it('leaves rows of GPT-NeoX in order where queries, keys and values are not in one matrix', async () => {
    const neox = { architectures: ['GPTNeoXForCausalLM'], num_attention_heads: 2 }
    const rows = async (path: string) => {
      const files = adapterOf(factorShapes({ [`gpt_neox.layers.0.${path}`]: [6, 3] }))
      const { tensors } = readGguf(await exportGguf(files, neox))
      const [, { bytes }] = [...tensors.values()]
      const floats = new Float32Array(bytes.slice().buffer)
      return [...floats.filter((_, i) => i % 2 === 0).map(value => (value - 1) / 2)]
    }
    expect(await rows('attention.dense')).toEqual([0, 1, 2, 3, 4, 5])
    expect(await rows('attention.query_key_value')).toEqual([0, 3, 1, 4, 2, 5])
  })

  it('has the rows of keys in pairs by the heads of keys', async () => {
    const rows = async (name: string, sizes: object) => {
      const files = adapterOf(factorShapes({ [`model.layers.0.self_attn.${name}`]: [8, 3] }))
      const { tensors } = readGguf(await exportGguf(files, { ...llama, ...sizes }))
      const { bytes } = tensors.get(`blk.0.attn_${name[0]}.weight.lora_b`)!
      const floats = new Float32Array(bytes.slice().buffer)
      return floats.filter((_, i) => i % 2 === 0).map(value => (value - 1) / 2)
    }
    const one = [0, 4, 1, 5, 2, 6, 3, 7]
    const two = [0, 2, 1, 3, 4, 6, 5, 7]
    expect([...(await rows('k_proj', { num_key_value_heads: 1 }))]).toEqual(one)
    expect([...(await rows('q_proj', { num_key_value_heads: 1 }))]).toEqual(two)
    expect([...(await rows('k_proj', { num_key_value_heads: null }))]).toEqual(two)
    expect([...(await rows('v_proj', {}))]).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
  })
})

/** An adapter whose two layers have the names of another family. */
async function renamed(q: string, down: string) {
  const { files } = await savedAdapter()
  await rename(files, q, down)
  return files
}

async function rename(files: Directory, q: string, down: string): Promise<void> {
  const { tensors } = parseSafetensors(await files.read('adapter_model.safetensors'))
  const named = [...tensors].map(([key, tensor]) => {
    const own = key.replace('model.layers.0.q_proj', q).replace('model.layers.0.down_proj', down)
    return [own, tensor] as const
  })
  await files.write(
    'adapter_model.safetensors',
    encodeSafetensors(new Map(named), { format: 'pt' }),
  )
}

async function tensorsOfBert() {
  const files = await renamed(
    'encoder.layer.1.attention.self.query',
    'encoder.layer.1.output.dense',
  )
  const base = { architectures: ['BertModel'], num_attention_heads: 2 }
  return readGguf(await exportGguf(files, base))
}
