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

async function tensorsOfBert() {
  const { files } = await savedAdapter()
  const { tensors } = parseSafetensors(await files.read('adapter_model.safetensors'))
  const renamed = [...tensors].map(([key, tensor]) => {
    const bert = key
      .replace('model.layers.0.q_proj', 'encoder.layer.1.attention.self.query')
      .replace('model.layers.0.down_proj', 'encoder.layer.1.output.dense')
    return [bert, tensor] as const
  })
  await files.write(
    'adapter_model.safetensors',
    encodeSafetensors(new Map(renamed), { format: 'pt' }),
  )
  const base = { architectures: ['BertModel'], num_attention_heads: 2 }
  return readGguf(await exportGguf(files, base))
}
