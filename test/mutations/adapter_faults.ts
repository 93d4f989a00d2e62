// Faults in what adapters start from, how they are combined, and the files that others read.

import type { Fault } from './faults.ts'

const START = 'test/lora/init/start.test.ts'
const INIT = 'test/lora/init/golden.test.ts'
const MERGE = 'test/lora/combine/golden.test.ts'
const COMBINE = 'test/lora/combine/combine.test.ts'
const GGUF = 'test/lora/files/gguf.test.ts'
const MLX = 'test/lora/files/mlx.test.ts'

export const ADAPTER_FAULTS: readonly Fault[] = [
  {
    name: 'GGUF keeps the rows of q in halves',
    file: 'src/lora/files/gguf_names.ts',
    find: 'return head * size + (within % 2) * (size / 2) + Math.floor(within / 2)',
    replace: 'return head * size + within',
    testFile: GGUF,
    test: 'export/llama_rope_llama3.f32',
  },
  {
    name: 'GGUF orders the rows of k by the heads of q',
    file: 'src/lora/files/gguf_names.ts',
    find: 'pairsOfHalves(rows, keyHeads)',
    replace: 'pairsOfHalves(rows, heads)',
    testFile: GGUF,
    test: 'export/llama_rope_llama3.f32',
  },
  {
    name: 'GGUF keeps the fused rows of GPT-NeoX by head',
    file: 'src/lora/files/gguf_names.ts',
    find: 'return (block % heads) * 3 * size + Math.floor(block / heads) * size + row',
    replace: 'return block * size + row',
    testFile: GGUF,
    test: 'export/gpt_neox.f32',
  },
  {
    name: 'GGUF loses what its readers do not multiply',
    file: 'src/lora/files/gguf.ts',
    find: 'const factor = layer.scaling / readerScale(alpha, layer.r)',
    replace: 'const factor = 1',
    testFile: GGUF,
    test: 'export/qwen2_all_linear.f32',
  },
  {
    name: 'GGUF leaves A of an embedding as it is',
    file: 'src/lora/files/gguf.ts',
    find: "layer.kind === 'embedding' ? transposed(layer.A) : layer.A",
    replace: 'layer.A',
    testFile: GGUF,
    test: 'export/llama_embed.f32',
  },
  {
    name: 'MLX loses the scaling of single layers',
    file: 'src/lora/files/mlx.ts',
    find: 'const b = folded(B, scaling, scale)',
    replace: 'const b = B',
    testFile: MLX,
    test: 'with ranks and alphas of layers computes what the model does',
  },
  {
    name: 'a converted adapter adds its start',
    file: 'src/lora/files/convert.ts',
    find: '= -right[row * r + c]',
    replace: '= right[row * r + c]',
    testFile: INIT,
    test: 'init/convert_pissa',
  },
  {
    name: 'a converted rank-stabilised adapter doubles its alpha',
    file: 'src/lora/files/convert.ts',
    find: 'config.use_rslora === true ? Math.sqrt(2) : 2',
    replace: '2',
    testFile: INIT,
    test: 'init/convert_olora_rslora',
  },
  {
    name: 'what a start took from the base is forgotten when it is read',
    file: 'src/lora/files/peft.ts',
    find: 'extension.takenFromBase?.(config, start)',
    replace: 'undefined',
    testFile: START,
    test: 'is read again as it was saved',
  },
  {
    name: 'MiCA takes the largest singular vectors',
    file: 'src/linalg/partial.ts',
    find: 'return select(a, rows, cols, most - k, most)',
    replace: 'return select(a, rows, cols, 0, k)',
    testFile: INIT,
    test: 'init/mica',
  },
  {
    name: 'EVA gives out more ranks than there were',
    file: 'src/lora/init/eva.ts',
    find: '.slice(0, budget)',
    replace: '',
    testFile: INIT,
    test: 'init/eva_rank_zero',
  },
  {
    name: 'EVA whitens by the singular value, not its root',
    file: 'src/lora/init/eva.ts',
    find: 'value / Math.sqrt(singularValues[Math.floor(at / pca.cols)])',
    replace: 'value / singularValues[Math.floor(at / pca.cols)]',
    testFile: INIT,
    test: 'init/eva_uniform_whiten',
  },
  {
    name: 'the shift of a mean counts too much',
    file: 'src/linalg/incremental_pca.ts',
    find: 'const root = Math.sqrt(pull)',
    replace: 'const root = pull',
    testFile: 'test/linalg/randomized.test.ts',
    test: 'with every component equals one decomposition of all rows',
  },
  {
    name: 'a negative diagonal loses its sign',
    file: 'src/linalg/large.ts',
    find: 'd[i] < 0 ? -1 : 1',
    replace: '1',
    testFile: 'test/linalg/large.test.ts',
    test: 'decomposes random matrices of every shape and rank',
  },
  {
    name: 'combined rank-stabilised adapters grow by √r',
    file: 'src/lora/combine/whole.ts',
    find: 'options.peftRsloraScale === true && adapters[0].useRslora',
    replace: 'adapters[0].useRslora',
    testFile: COMBINE,
    test: 'cat of enough rank is Σ w·s·B·A',
  },
  {
    name: 'stacked factors forget their scaling',
    file: 'src/lora/combine/low_rank.ts',
    find: 'value * part.weight * part.scaling',
    replace: 'value * part.weight',
    testFile: MERGE,
    test: 'merge/cat_three',
  },
  {
    name: 'another base goes unnoticed',
    file: 'src/lora/files/provenance.ts',
    find: 'if (found.sha256 === said.sha256) {',
    replace: 'if (found.dtype === said.dtype) {',
    testFile: 'test/lora/files/provenance.test.ts',
    test: 'warns of another base',
  },
  {
    name: 'the analysis measures a start that is subtracted',
    file: 'src/analysis/update.ts',
    find: 'return start ? [own, { ...start, r, scaling: -scaling }] : [own]',
    replace: 'return [own]',
    testFile: 'test/analysis/subspace.test.ts',
    test: 'are measured with their start taken off',
  },
]
