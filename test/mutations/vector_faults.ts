// biome-ignore-all lint/suspicious/noTemplateCurlyInString: faults are pieces of code

// Faults that the golden cases of other implementations cannot see: random draws, several DoRA adapters,
// scales that a file format has no place for, steps that are clipped. The vectors of conformance/ must.

import type { Fault } from './faults.ts'

const testFile = 'test/conformance/vectors.test.ts'

export const VECTOR_FAULTS: readonly Fault[] = [
  {
    name: 'a second DoRA adapter scales the bias as well',
    file: 'src/lora/variants/dora.ts',
    find: 'const before = bias ? sub(y, perOutput(base, bias)) : y',
    replace: 'const before = y',
    testFile,
    test: 'layers/dora_three',
  },
  {
    name: 'DoRA adds the thinned base once more',
    file: 'src/lora/variants/dora.ts',
    find: 'add(before, sub(mul(whole, m), part))',
    replace: 'add(before, mul(whole, m))',
    testFile,
    test: 'layers/dropout_dora',
  },
  {
    name: 'DARE keeps what stays as it is',
    file: 'src/lora/combine/prune.ts',
    find: '? value / density : 0',
    replace: '? value : 0',
    testFile,
    test: 'merge/dare_linear',
  },
  {
    name: 'DARE draws one mask for all layers',
    file: 'src/lora/combine/layer.ts',
    find: 'combine/${path}/${parts[i].name}/${matrix}',
    replace: 'combine/${parts[i].name}/${matrix}',
    testFile,
    test: 'merge/dare_ties',
  },
  {
    name: 'clipping reaches the norm alone',
    file: 'src/optim/optimizer.ts',
    find: 'kernels.gradient_norm_end(maxGradNorm, control)',
    replace: 'kernels.gradient_norm_end(1e30, control)',
    testFile,
    test: 'optim/adamw_clipped',
  },
  {
    name: 'GGUF folds nothing into B',
    file: 'src/lora/files/gguf.ts',
    find: 'const factor = foldedFactor(layer.scaling, alpha, layer.r)',
    replace: 'const factor = 1',
    testFile,
    test: 'export/gguf_llama_patterns',
  },
  {
    name: 'MLX files keep one scale whatever the layers have',
    file: 'src/lora/files/mlx.ts',
    find: 'return scales.size === 1 ? layers[0].scaling : 1',
    replace: 'return scales.size >= 1 ? layers[0].scaling : 1',
    testFile,
    test: 'export/mlx_patterns',
  },
  {
    name: 'shuffling never leaves an element in its place',
    file: 'src/core/rng.ts',
    find: 'const j = this.integer(i + 1)',
    replace: 'const j = this.integer(i)',
    testFile,
    test: 'random/shuffle',
  },
  {
    name: 'normal draws come in the other order',
    file: 'src/core/rng.ts',
    find: 'return radius * cosTurns(turns)',
    replace: 'return -radius * cosTurns(turns)',
    testFile,
    test: 'random/normal',
  },
]
