// Adapters as mlx-lm keeps them, both ways: adapters.safetensors with PATH.lora_a [in, r] = Aᵀ and
// PATH.lora_b [r, out] = Bᵀ, of DoRA PATH.m [out]; and adapter_config.json with one scale for all layers:
//   y = x·Wᵀ + scale·(x·lora_a)·lora_b
// Where layers differ in what multiplies B·A, the difference is folded into lora_b. Beside MLX's keys the
// configuration keeps PEFT's, which mlx-lm does not look at, so that the way back restores them.
// Source: mlx-lm (github.com/ml-explore/mlx-lm), tuner/lora.py, tuner/dora.py, tuner/utils.py.

import { throwAll } from '../../core/errors.ts'
import { openSafetensors } from '../../io/safetensors.ts'
import {
  type ByteSource,
  type Directory,
  locate,
  readJson,
  type WriteOptions,
} from '../../io/source.ts'
import {
  type AdapterFile,
  encodeTensors,
  type FileLayer,
  type FileTensor,
  fileTensor,
  type Json,
  layerScaling,
  mutatedBase,
  readAdapterFile,
  writeAdapterFile,
} from './adapter_file.ts'
import { scaled } from './portable.ts'

const CONFIG = 'adapter_config.json'
const WEIGHTS = 'adapters.safetensors'
/** Where PEFT's own configuration is kept. */
const PEFT_KEY = 'peft_config'
const BLOCK = /^model\.layers\.\d+\./

/** Rows become columns: the layout of MLX's matrices, and back. */
export function transposed({ dtype, shape: [rows, cols], data }: FileTensor): FileTensor {
  const turned = data.map((_, at) => data[(at % rows) * cols + Math.floor(at / rows)])
  return { dtype, shape: [cols, rows], data: turned }
}

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
  return own === said || said === 0 ? 1 : own / said
}

function commonScale({ layers }: AdapterFile): number {
  const scales = new Set(layers.map(({ scaling }) => scaling))
  return scales.size === 1 ? layers[0].scaling : 1
}

function mlxTensors(layer: FileLayer, scale: number): [string, FileTensor][] {
  const { path, A, B, scaling, magnitude } = layer
  const entries: [string, FileTensor][] = [
    [`${path}.lora_a`, transposed(A)],
    [`${path}.lora_b`, transposed(scaled(B, ratio(scaling, scale)))],
  ]
  return magnitude ? [...entries, [`${path}.m`, magnitude]] : entries
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
  const tensors = file.layers.flatMap(layer => mlxTensors(layer, scale))
  const files = new Map<string, string | Uint8Array>([
    [CONFIG, `${JSON.stringify(mlxConfig(file, scale), null, 4)}\n`],
    [WEIGHTS, encodeTensors(tensors, 'mlx')],
  ])
  await directory.writeAll(files, options)
}

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
    if (typeof value !== 'number' || !Number.isFinite(value)) {
      problems.push(`lora_parameters.${name}: expected a number, got ${JSON.stringify(value)}`)
    }
  }
  throwAll('config', where, problems)
  return { rank, scale, dropout } as MlxParameters
}

async function readMlxTensors(source: ByteSource): Promise<Map<string, Map<string, FileTensor>>> {
  const files = await openSafetensors(source, WEIGHTS)
  const layers = new Map<string, Map<string, FileTensor>>()
  const problems: string[] = []
  for (const [key, entry] of files.tensors) {
    const match = /^(.+)\.(lora_a|lora_b|m)$/.exec(key)
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
  return layers
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
  return { path, kind, r, loraAlpha: scale * r, scaling: scale, A, B, magnitude: own.get('m') }
}

function pathPattern(path: string): string {
  return path.replaceAll('.', '\\.')
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
    rank_pattern: Object.fromEntries(others.map(({ path, r }) => [pathPattern(path), r])),
    alpha_pattern: Object.fromEntries(others.map(({ path, r }) => [pathPattern(path), r * scale])),
  }
}

/** A layer with its B as PEFT's own configuration wants it. */
function restored(layer: FileLayer, config: Json): FileLayer {
  const { loraAlpha, scaling } = layerScaling(config, layer.path)
  return { ...layer, loraAlpha, scaling, B: scaled(layer.B, ratio(layer.scaling, scaling)) }
}

/**
 * Writes the mlx-lm adapter in `source` as a PEFT adapter. What `exportMlx` wrote gives PEFT's bytes
 * again, unless layers differ in their scaling, which rounds B. Throws `config` or `file` errors that
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
  const tensors = await readMlxTensors(source)
  const layers = [...tensors].map(([path, own]) => layerOf(path, own, parameters.scale))
  const kept = mlx[PEFT_KEY] as Json | undefined
  await writeAdapterFile(
    {
      config: kept ?? peftConfig(layers, mlx, parameters),
      layers: kept ? layers.map(layer => restored(layer, kept)) : layers,
      others: new Map(),
    },
    directory,
    options,
  )
}
