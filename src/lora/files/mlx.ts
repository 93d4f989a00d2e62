// Adapters as mlx-lm keeps them, both ways: adapters.safetensors with PATH.lora_a [in, r] = Aᵀ and
// PATH.lora_b [r, out] = Bᵀ, of DoRA PATH.m [out]; and adapter_config.json with one scale for all layers:
//   y = x·Wᵀ + scale·(x·lora_a)·lora_b
// Where layers differ in what multiplies B·A, the difference is folded into lora_b. What the way back needs
// beside that is kept where mlx-lm does not look (it loads weights without insisting on every key): PEFT's
// configuration, and under `peft.` PEFT's own tensors, where folding rounds B or MLX has no place for them.
// Source: mlx-lm (github.com/ml-explore/mlx-lm), tuner/lora.py, tuner/dora.py, tuner/utils.py.

import { throwAll } from '../../core/errors.ts'
import type { ByteSource, Directory, WriteOptions } from '../../io/source.ts'
import {
  type AdapterFile,
  encodeTensors,
  type FileLayer,
  type FileTensor,
  factorKeys,
  type Json,
  mutatedBase,
  readAdapterFile,
} from './adapter_file.ts'
import { rounded, sameNumbers, scaled, transposed } from './numbers.ts'

export const CONFIG = 'adapter_config.json'
export const WEIGHTS = 'adapters.safetensors'
/** Where PEFT's own configuration is kept. */
export const PEFT_KEY = 'peft_config'
/** What the keys of PEFT's own tensors begin with. */
export const KEPT = 'peft.'
const BLOCK = /^model\.layers\.\d+\./

function problemsOf({ config, layers, others }: AdapterFile): string[] {
  const problems: string[] = []
  for (const { path, A, bias } of layers) {
    if (A.shape.length !== 2) {
      problems.push(`"${path}" is a convolution, which mlx-lm does not adapt`)
    }
    if (bias) {
      problems.push(`"${path}" has a bias of B, which mlx-lm has no place for`)
    }
    if (/^(transformer|gpt_neox|bert|roberta|distilbert|vit)\./.test(path)) {
      problems.push(`"${path}" is of a family whose layers mlx-lm calls otherwise`)
    }
  }
  const whole = [...others.keys()].filter(key => !key.endsWith('.base_layer.weight'))
  if (whole.length > 0) {
    problems.push(
      `MLX adapters hold low-rank updates alone, got ${whole.length} tensors that are none: ` +
        whole.slice(0, 3).join(', '),
    )
  }
  const mutated = mutatedBase(config)
  return mutated ? [...problems, mutated] : problems
}

/** What B is multiplied by to stand for `own` where the file says `said`; nothing stands for 0. */
function ratio(own: number, said: number): number {
  return said === 0 ? 1 : own / said
}

function commonScale({ layers }: AdapterFile): number {
  const scales = new Set(layers.map(({ scaling }) => scaling))
  return scales.size === 1 ? layers[0].scaling : 1
}

/** B as it stands for another scale, as a file holds it. */
export function folded(B: FileTensor, own: number, said: number): FileTensor {
  return rounded(scaled(B, ratio(own, said)))
}

function mlxTensors(layer: FileLayer, scale: number): [string, FileTensor][] {
  const { path, A, B, scaling, magnitude } = layer
  const b = folded(B, scaling, scale)
  const entries: [string, FileTensor][] = [
    [`${path}.lora_a`, transposed(A)],
    [`${path}.lora_b`, transposed(b)],
  ]
  if (magnitude) {
    entries.push([`${path}.m`, magnitude])
  }
  if (!sameNumbers(folded(b, scale, scaling), B)) {
    entries.push([`${KEPT}${factorKeys(layer)[1]}`, B])
  }
  return entries
}

function mlxConfig({ config, layers, r }: AdapterFile, scale: number): Json {
  const keys = new Set(layers.map(({ path }) => path.replace(BLOCK, '')))
  return {
    fine_tune_type: config.use_dora === true ? 'dora' : 'lora',
    // All: layers that the file has nothing for start with lora_b zero.
    num_layers: -1,
    lora_parameters: {
      rank: r,
      scale,
      dropout: config.lora_dropout ?? 0,
      keys: [...keys],
    },
    [PEFT_KEY]: config,
  }
}

/**
 * Writes the PEFT adapter in `source` for mlx-lm: `adapters.safetensors` and `adapter_config.json`.
 * Throws a `config` error that lists what mlx-lm has no place for: convolutions, biases of B, whole
 * modules, families that it names otherwise.
 *
 * @example
 * ```ts
 * import { attach, Linear } from 'lowrank'
 * import { memoryDirectory } from 'lowrank/io'
 * import { exportMlx, saveAdapter } from 'lowrank/lora'
 *
 * const adapter = memoryDirectory()
 * await saveAdapter(attach(new Linear(4, 4), { r: 2 }), adapter)
 * const mlx = memoryDirectory()
 * await exportMlx(adapter, mlx)
 * console.log(await mlx.list()) // ['adapter_config.json', 'adapters.safetensors']
 * ```
 */
export async function exportMlx(
  source: ByteSource,
  directory: Directory,
  options: WriteOptions = {},
): Promise<void> {
  const file = await readAdapterFile(source)
  throwAll('config', `lora.exportMlx: ${source.label}`, problemsOf(file))
  const scale = commonScale(file)
  const kept = [...file.others].map(([key, tensor]) => [`${KEPT}${key}`, tensor] as const)
  const tensors = [...file.layers.flatMap(layer => mlxTensors(layer, scale)), ...kept]
  const files = new Map<string, string | Uint8Array>([
    [CONFIG, `${JSON.stringify(mlxConfig(file, scale), null, 4)}\n`],
    [WEIGHTS, encodeTensors(tensors, 'mlx')],
  ])
  await directory.writeAll(files, options)
}
