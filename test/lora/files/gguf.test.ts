// Adapters as GGUF, against llama.cpp's own converter (golden family `export`).

import { encodeSafetensors, parseSafetensors } from 'lowrank/io'
import { exportGguf } from 'lowrank/lora'
import { expect, it } from 'vitest'
import { readGguf } from '../../../src/conformance/export/gguf_reader.ts'
import { describeFamily } from '../../support/conformance.ts'
import { savedAdapter } from './adapters.ts'

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
  const files = await adapterOf('model.layers.0.self_attn.q_proj', 'model.layers.0.mlp.down_proj')
  const base = { architectures: [architecture], ...sizes }
  await expect(exportGguf(files, base)).rejects.toThrow('heads')
  await expect(exportGguf(files, base)).rejects.toThrow('q_proj')
})

/** An adapter whose two layers have the names of another family. */
async function adapterOf(q: string, down: string) {
  const { files } = await savedAdapter()
  const { tensors } = parseSafetensors(await files.read('adapter_model.safetensors'))
  const renamed = [...tensors].map(([key, tensor]) => {
    const own = key.replace('model.layers.0.q_proj', q).replace('model.layers.0.down_proj', down)
    return [own, tensor] as const
  })
  await files.write(
    'adapter_model.safetensors',
    encodeSafetensors(new Map(renamed), { format: 'pt' }),
  )
  return files
}

async function tensorsOfBert() {
  const files = await adapterOf(
    'encoder.layer.1.attention.self.query',
    'encoder.layer.1.output.dense',
  )
  const base = { architectures: ['BertModel'], num_attention_heads: 2 }
  return readGguf(await exportGguf(files, base))
}
