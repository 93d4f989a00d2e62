// Adapters of mlx-lm as PEFT's: lora_a and lora_b transposed, the one scale as alpha = scale · r, and what
// `exportMlx` (mlx.ts) kept of PEFT's own put back where it was.

import { throwAll } from '../../core/errors.ts'
import { openSafetensors } from '../../io/safetensors.ts'
import {
  type ByteSource,
  type Directory,
  locate,
  readJson,
  type WriteOptions,
} from '../../io/source.ts'
import { exactPattern } from '../targets.ts'
import {
  type FileLayer,
  type FileTensor,
  factorKeys,
  fileTensor,
  type Json,
  layerScaling,
  writeAdapterFile,
} from './adapter_file.ts'
import { CONFIG, folded, KEPT, PEFT_KEY, WEIGHTS } from './mlx.ts'
import { sameNumbers, transposed } from './numbers.ts'

interface MlxParameters {
  readonly rank: number
  readonly scale: number
  readonly dropout: number
}

function parametersOf(where: string, config: Json): MlxParameters {
  const found = (config.lora_parameters ?? {}) as Partial<MlxParameters>
  const { rank, scale, dropout = 0 } = found
  const problems: string[] = []
  if (!['lora', 'dora'].includes(String(config.fine_tune_type ?? 'lora'))) {
    problems.push(
      `fine_tune_type: expected "lora" or "dora", got ${JSON.stringify(config.fine_tune_type)}`,
    )
  }
  for (const [name, value] of Object.entries({ rank, scale, dropout })) {
    if (!Number.isFinite(value)) {
      problems.push(`lora_parameters.${name}: expected a number, got ${JSON.stringify(value)}`)
    }
  }
  throwAll('config', where, problems)
  return { rank, scale, dropout } as MlxParameters
}

interface MlxTensors {
  readonly layers: ReadonlyMap<string, ReadonlyMap<string, FileTensor>>
  /** PEFT's own, by their keys. */
  readonly kept: Map<string, FileTensor>
}

async function readMlxTensors(source: ByteSource): Promise<MlxTensors> {
  const kept = new Map<string, FileTensor>()
  const files = await openSafetensors(source, WEIGHTS)
  const layers = new Map<string, Map<string, FileTensor>>()
  const problems: string[] = []
  for (const [key, entry] of files.tensors) {
    if (key.startsWith(KEPT)) {
      kept.set(key.slice(KEPT.length), await fileTensor(files, entry))
      continue
    }
    const match = /(.+)\.(lora_a|lora_b|m)$/.exec(key)
    if (!match) {
      problems.push(`unexpected "${key}" (lora_a, lora_b and m are known)`)
      continue
    }
    const own = layers.get(match[1]) ?? new Map<string, FileTensor>()
    own.set(match[2], await fileTensor(files, entry))
    layers.set(match[1], own)
  }
  for (const [path, own] of layers) {
    if (!own.has('lora_a') || !own.has('lora_b')) {
      problems.push(`"${path}" needs lora_a and lora_b, got ${[...own.keys()].join(', ')}`)
    }
  }
  throwAll('file', locate(source, WEIGHTS), problems)
  return { layers, kept }
}

/** Whether an embedding: its table is as high as lora_a. */
function isEmbedding(path: string): boolean {
  return /(^|\.)(embed_tokens|wte|embed_in)$/.test(path)
}

function layerOf(path: string, own: ReadonlyMap<string, FileTensor>, scale: number): FileLayer {
  const A = transposed(own.get('lora_a') as FileTensor)
  const B = transposed(own.get('lora_b') as FileTensor)
  const [r] = A.shape
  const kind = isEmbedding(path) ? 'embedding' : 'linear'
  return { path, kind, r, scaling: scale, A, B, magnitude: own.get('m') }
}

/** A configuration of PEFT's that says what the layers are. */
function peftConfig(
  layers: readonly FileLayer[],
  mlx: Json,
  { rank, scale, dropout }: MlxParameters,
) {
  const others = layers.filter(({ r }) => r !== rank)
  return {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: mlx.model ?? null,
    r: rank,
    lora_alpha: rank * scale,
    lora_dropout: dropout,
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    use_rslora: false,
    use_dora: mlx.fine_tune_type === 'dora',
    modules_to_save: null,
    target_modules: layers.map(({ path }) => path),
    rank_pattern: Object.fromEntries(others.map(({ path, r }) => [exactPattern(path), r])),
    alpha_pattern: Object.fromEntries(others.map(({ path, r }) => [exactPattern(path), r * scale])),
  }
}

/**
 * A layer with its B as PEFT's own configuration wants it: the B that was kept, if it is still the one
 * that lora_b was made of. It is taken out of `kept`.
 */
function restored(layer: FileLayer, config: Json, kept: Map<string, FileTensor>): FileLayer {
  const scaling = layerScaling(config, layer.path)
  const [, key] = factorKeys(layer)
  const own = kept.get(key)
  kept.delete(key)
  const untouched = own && sameNumbers(folded(own, scaling, layer.scaling), layer.B)
  const B = untouched ? own : folded(layer.B, layer.scaling, scaling)
  return { ...layer, scaling, B }
}

/**
 * Writes the mlx-lm adapter in `source` as a PEFT adapter. What `exportMlx` wrote gives PEFT's bytes
 * again. Throws `config` or `file` errors that
 * list everything unexpected.
 *
 * @example
 * ```ts
 * import { attach, Linear } from 'lowrank'
 * import { memoryDirectory } from 'lowrank/io'
 * import { exportMlx, importMlx, saveAdapter } from 'lowrank/lora'
 *
 * const adapter = memoryDirectory()
 * await saveAdapter(attach(new Linear(4, 4), { r: 2 }), adapter)
 * const mlx = memoryDirectory()
 * await exportMlx(adapter, mlx)
 * const back = memoryDirectory()
 * await importMlx(mlx, back)
 * const name = 'adapter_model.safetensors'
 * console.log(`${await back.read(name)}` === `${await adapter.read(name)}`) // true
 * ```
 */
export async function importMlx(
  source: ByteSource,
  directory: Directory,
  options: WriteOptions = {},
): Promise<void> {
  const where = locate(source, CONFIG)
  const mlx = (await readJson(source, CONFIG)) as Json
  const parameters = parametersOf(where, mlx ?? {})
  const { layers: tensors, kept } = await readMlxTensors(source)
  const layers = [...tensors].map(([path, own]) => layerOf(path, own, parameters.scale))
  const known = mlx[PEFT_KEY] as Json | undefined
  const config = known ?? peftConfig(layers, mlx, parameters)
  const own = known ? layers.map(layer => restored(layer, known, kept)) : layers
  await writeAdapterFile(
    { config, layers: own, others: known ? kept : new Map() },
    directory,
    options,
  )
}
