// An adapter that means the same wherever it is served: servers differ in what they read of a
// configuration (rank-stabilised scaling, patterns), so what multiplies B·A goes into B, every layer
// gets the same rank (rows and columns of zeros), and lora_alpha = r says that the rest is 1.

import { throwAll } from '../../core/errors.ts'
import type { ByteSource, Directory, WriteOptions } from '../../io/source.ts'
import {
  type AdapterFile,
  type FileLayer,
  type FileTensor,
  type Json,
  mutatedBase,
  readAdapterFile,
  writeAdapterFile,
} from './adapter_file.ts'
import { scaled } from './numbers.ts'

/** The largest rank that servers take unless told otherwise. */
export const SERVER_RANKS: Readonly<Record<string, number>> = {
  vLLM: 16,
  'Workers AI': 32,
}

/** What a portable file cannot say, as sentences. */
function problemsOf({ config, layers }: AdapterFile): string[] {
  const problems: string[] = []
  if (config.use_dora === true || layers.some(({ magnitude }) => magnitude)) {
    problems.push(
      'use_dora: servers that do not know DoRA would leave its magnitudes out and answer something ' +
        'else (merge the adapter into a model instead)',
    )
  }
  const mutated = mutatedBase(config)
  return mutated ? [...problems, mutated] : problems
}

function warningsOf({ others }: AdapterFile, r: number): string[] {
  const warnings = Object.entries(SERVER_RANKS)
    .filter(([, most]) => r > most)
    .map(([server, most]) => `rank ${r} is above ${most}, which is what ${server} takes by default`)
  const whole = [...others.keys()]
  if (whole.length > 0) {
    warnings.push(
      `${whole.length} tensors are no low-rank update (${whole.slice(0, 2).join(', ')}), which some ` +
        'servers refuse',
    )
  }
  return warnings
}

/** Rows or columns of zeros: the shape with `axis` enlarged to `size`. */
function padded(tensor: FileTensor, axis: 0 | 1, size: number): FileTensor {
  const { dtype, shape, data } = tensor
  const wide = shape.map((own, i) => (i === axis ? size : own))
  const inner = shape.slice(axis + 1).reduce((n, own) => n * own, 1)
  const outer = axis === 0 ? 1 : shape[0]
  const grown = new Float64Array(outer * size * inner)
  for (let i = 0; i < outer; i++) {
    const run = shape[axis] * inner
    grown.set(data.subarray(i * run, (i + 1) * run), i * size * inner)
  }
  return { dtype, shape: wide, data: grown }
}

function portableLayer(layer: FileLayer, r: number): FileLayer {
  const { A, B, bias, scaling } = layer
  return {
    ...layer,
    r,
    scaling: 1,
    A: padded(A, 0, r),
    B: padded(scaled(B, scaling), 1, r),
    bias: bias && scaled(bias, scaling),
  }
}

function portableConfig(config: Json, r: number): Json {
  return {
    ...config,
    r,
    lora_alpha: r,
    use_rslora: false,
    rank_pattern: {},
    alpha_pattern: {},
    init_lora_weights: true,
  }
}

/**
 * Writes the adapter in `source` so that every server that reads PEFT's files computes the same:
 * scaling folded into B, `lora_alpha` equal to `r`, no rank-stabilised scaling, no patterns. Returns
 * warnings: a rank above what vLLM (16) or Workers AI (32) take by default, whole modules.
 * Throws `config` for DoRA, and for adapters that were started from the base and not converted.
 *
 * @example
 * ```ts
 * import { attach, Linear } from 'lowrank'
 * import { memoryDirectory, readJson } from 'lowrank/io'
 * import { exportPortable, saveAdapter } from 'lowrank/lora'
 *
 * const adapter = memoryDirectory()
 * await saveAdapter(attach(new Linear(64, 64), { r: 24, useRslora: true }), adapter)
 * const out = memoryDirectory()
 * const warnings = await exportPortable(adapter, out)
 * console.log(warnings) // ['rank 24 is above 16, which is what vLLM takes by default']
 * ```
 */
export async function exportPortable(
  source: ByteSource,
  directory: Directory,
  options: WriteOptions = {},
): Promise<string[]> {
  const file = await readAdapterFile(source)
  throwAll('config', `lora.exportPortable: ${source.label}`, problemsOf(file))
  const r = Math.max(...file.layers.map(layer => layer.r))
  const layers = file.layers.map(layer => portableLayer(layer, r))
  const { others } = file
  await writeAdapterFile(
    { config: portableConfig(file.config, r), layers, others },
    directory,
    options,
  )
  return warningsOf(file, r)
}
