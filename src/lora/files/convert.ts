// An adapter that was started from the base (PiSSA, OLoRA) as a plain one: what it changed is
// s·(B·A − B₀·A₀), which is one product of stacked factors, [B −B₀]·[A; A₀], of twice the rank. Alpha is
// doubled with it (multiplied by √2 under rank-stabilised scaling), so that s stays.
// Source: PEFT 0.21, `path_initial_model_for_weight_conversion` and `subtract_mutated_init`.

import { LowrankError } from '../../core/errors.ts'
import { memoryDirectory } from '../../io/memory.ts'
import type { Directory } from '../../io/source.ts'
import type { Module } from '../../nn/module.ts'
import { loraLayers } from '../adapters.ts'
import type { Factors } from '../state.ts'
import {
  type FileLayer,
  type FileTensor,
  type Json,
  readAdapterFile,
  writeAdapterFile,
} from './adapter_file.ts'
import { chosenName, type SaveAdapterOptions, saveAdapter } from './peft.ts'

/** Two matrices below each other. */
function stackRows(above: FileTensor, below: Float64Array): FileTensor {
  const [r, ...rest] = above.shape
  const data = new Float64Array(2 * above.data.length)
  data.set(above.data)
  data.set(below, above.data.length)
  return { dtype: above.dtype, shape: [2 * r, ...rest], data }
}

/** Two matrices beside each other, the second one subtracted. */
function stackColumns(left: FileTensor, right: Float64Array): FileTensor {
  const [rows, r, ...rest] = left.shape
  const data = new Float64Array(2 * left.data.length)
  for (let row = 0; row < rows; row++) {
    data.set(left.data.subarray(row * r, (row + 1) * r), row * 2 * r)
    for (let c = 0; c < r; c++) {
      data[(row * 2 + 1) * r + c] = -right[row * r + c]
    }
  }
  return { dtype: left.dtype, shape: [rows, 2 * r, ...rest], data }
}

async function converted(layer: FileLayer, start: Factors): Promise<FileLayer> {
  const A = Float64Array.from(await start.A.data())
  const B = Float64Array.from(await start.B.data())
  return { ...layer, r: 2 * layer.r, A: stackRows(layer.A, A), B: stackColumns(layer.B, B) }
}

function times(pattern: unknown, factor: number): Record<string, number> {
  const entries = Object.entries((pattern ?? {}) as Record<string, number>)
  return Object.fromEntries(entries.map(([key, value]) => [key, value * factor]))
}

function convertedConfig(config: Json): Json {
  const alpha = config.use_rslora === true ? Math.sqrt(2) : 2
  return {
    ...config,
    r: 2 * (config.r as number),
    lora_alpha: alpha * (config.lora_alpha as number),
    rank_pattern: times(config.rank_pattern, 2),
    alpha_pattern: times(config.alpha_pattern, alpha),
    init_lora_weights: true,
  }
}

/**
 * Writes an adapter that was started from the base by PiSSA or OLoRA as plain LoRA of twice the rank,
 * which fits the base as it is. Throws `config` for an adapter without such a start, else as
 * `saveAdapter` does.
 *
 * @example
 * ```ts
 * import { Linear } from 'lowrank'
 * import { memoryDirectory, readJson } from 'lowrank/io'
 * import { attach, convertToLora } from 'lowrank/lora'
 *
 * const layer = attach(new Linear(6, 4), { r: 2, initLoraWeights: 'pissa' })
 * const plain = memoryDirectory()
 * await convertToLora(layer, plain)
 * const config = (await readJson(plain, 'adapter_config.json')) as { r: number }
 * console.log(config.r) // 4
 * ```
 */
export async function convertToLora(
  model: Module,
  directory: Directory,
  options: SaveAdapterOptions = {},
): Promise<void> {
  await directory.checkWritable(options)
  const saved = memoryDirectory()
  await saveAdapter(model, saved, options)
  const file = await readAdapterFile(saved)
  const name = chosenName(model, options.adapterName)
  const layers = loraLayers(model).filter(({ layer }) => layer.adapters.has(name))
  const starts = layers.map(({ layer }) => layer.adapters.get(name)?.start)
  if (starts.some(start => start === undefined)) {
    throw new LowrankError(
      'config',
      `lora.convertToLora: expected an adapter that was started from the base, got "${name}", which ` +
        'is plain LoRA already (saveAdapter writes it)',
    )
  }
  const byPath = new Map(layers.map(({ path }, i) => [path === '' ? 'linear' : path, starts[i]]))
  const stacked = file.layers.map(layer => converted(layer, byPath.get(layer.path) as Factors))
  const config = convertedConfig(file.config)
  await writeAdapterFile(
    { config, layers: await Promise.all(stacked), others: file.others },
    directory,
    options,
  )
}
