// An adapter as a GGUF file for llama.cpp and what is built on it (Ollama, LM Studio): per layer
// `NAME.weight.lora_a` [r, in] and `.lora_b` [out, r]. A reader multiplies B·A by alpha / r, with one
// alpha for the file and the rank of each tensor; where PEFT multiplies by something else (patterns,
// rank-stabilised scaling), the rest is folded into B. Written only.
// Source: llama.cpp, convert_lora_to_gguf.py and src/llama-adapter.cpp. Its converter loses patterns and
// rank-stabilised scaling, and transposes GPT-2's matrices twice: here both are right.

import { LowrankError, throwAll } from '../../core/errors.ts'
import type { ByteSource } from '../../io/source.ts'
import {
  type AdapterFile,
  type FileLayer,
  type FileTensor,
  type Json,
  mutatedBase,
  readAdapterFile,
} from './adapter_file.ts'
import {
  GGUF_ARCHITECTURES,
  type GgufArchitecture,
  ggufName,
  type HeadSizes,
  type RowOrder,
} from './gguf_names.ts'
import { encodeGguf, type GgufTensor, type GgufValue } from './gguf_writer.ts'
import { scaled, transposed } from './numbers.ts'

export interface GgufOptions {
  /** The element type of the file; `f32` if absent. */
  readonly outtype?: 'f32' | 'f16'
  /** `general.name`; `Adapter` if absent. */
  readonly name?: string
}

const WHERE = 'lora.exportGguf'

/** Base weights that PEFT saves along with an adapted embedding are the base's own. */
function isBaseWeight(key: string): boolean {
  return key.endsWith('.base_layer.weight')
}

function problemsOf({ config, layers, others }: AdapterFile): string[] {
  const problems: string[] = []
  if (config.use_dora === true || layers.some(({ magnitude }) => magnitude)) {
    problems.push('GGUF has no place for the magnitudes of DoRA (merge the adapter instead)')
  }
  if (layers.some(({ bias }) => bias)) {
    problems.push('GGUF has no place for the biases of lora_bias')
  }
  const whole = [...others.keys()].filter(key => !isBaseWeight(key))
  if (whole.length > 0) {
    problems.push(
      `GGUF holds low-rank updates alone, got ${whole.length} tensors that are none: ` +
        `${whole.slice(0, 3).join(', ')} (trained tokens, biases, modules_to_save)`,
    )
  }
  const mutated = mutatedBase(config)
  return mutated ? [...problems, mutated] : problems
}

function architectureOf(base: Json): GgufArchitecture {
  const [name] = (base.architectures ?? []) as readonly string[]
  const found = GGUF_ARCHITECTURES[name]
  if (!found) {
    throw new LowrankError(
      'config',
      `${WHERE}: expected a base that llama.cpp runs (${Object.keys(GGUF_ARCHITECTURES).join(', ')}), ` +
        `got ${JSON.stringify(name ?? null)}`,
    )
  }
  return found
}

function headSizes(base: Json): HeadSizes {
  const heads = (base.num_attention_heads ?? base.n_head) as number
  return { heads, keyHeads: (base.num_key_value_heads as number | null | undefined) ?? heads }
}

function reordered({ dtype, shape, data }: FileTensor, order: RowOrder | undefined): FileTensor {
  const [rows, cols] = shape
  if (!order) {
    return { dtype, shape, data }
  }
  const moved = new Float64Array(data.length)
  for (let i = 0; i < rows; i++) {
    moved.set(data.subarray(order(i) * cols, (order(i) + 1) * cols), i * cols)
  }
  return { dtype, shape, data: moved }
}

/** What a reader multiplies B·A by: alpha 0 means that there is none. */
function readerScale(alpha: number, r: number): number {
  return alpha === 0 ? 1 : alpha / r
}

/**
 * What B must be multiplied by. An alpha that 32 bits cannot hold is off by at most 2⁻²⁴ of itself:
 * multiplying it into B would round every entry by as much again.
 */
function foldedFactor(scaling: number, alpha: number, r: number): number {
  const factor = scaling / readerScale(alpha, r)
  return Math.abs(factor - 1) <= 1 / 0x1000000 ? 1 : factor
}

function checkFinite(path: string, tensor: GgufTensor, type: 'F32' | 'F16'): void {
  const most = type === 'F16' ? 65504 : 3.4028234663852886e38
  const bad = Array.from(tensor.data).find(value => !(Math.abs(value) <= most))
  if (bad !== undefined) {
    throw new LowrankError(
      'numeric',
      `${WHERE}: "${path}": expected numbers that ${type} can hold, got ${bad}` +
        (type === 'F16' ? ' (choose f32)' : ''),
    )
  }
}

function layerTensors(
  layer: FileLayer,
  architecture: GgufArchitecture,
  sizes: HeadSizes,
  alpha: number,
): GgufTensor[] {
  const { full, short } = ggufName(architecture, layer.path) as { full: string; short: string }
  const factor = foldedFactor(layer.scaling, alpha, layer.r)
  const order = architecture.rowOrder?.(short, layer.B.shape[0], sizes)
  const A = layer.kind === 'embedding' ? transposed(layer.A) : layer.A
  const B = scaled(reordered(layer.B, order), factor)
  return [
    { name: `${full}.weight.lora_a`, rows: A.shape[0], cols: A.shape[1], data: A.data },
    { name: `${full}.weight.lora_b`, rows: B.shape[0], cols: B.shape[1], data: B.data },
  ]
}

/** Whether every row comes from another one, as it does where heads divide the rows. */
function isOrder(order: RowOrder, rows: number): boolean {
  const sources = Float64Array.from({ length: rows }, (_, i) => order(i)).sort()
  return sources.every((source, i) => source === i)
}

function layerProblems(
  { path, A, B }: FileLayer,
  architecture: GgufArchitecture,
  base: Json,
): string[] {
  if (A.shape.length !== 2) {
    return [`"${path}" is a convolution, which ${architecture.name} has none of`]
  }
  const name = ggufName(architecture, path)
  if (!name) {
    return [`"${path}" has no name in ${architecture.name}`]
  }
  const sizes = headSizes(base)
  const [rows] = B.shape
  const order = architecture.rowOrder?.(name.short, rows, sizes)
  if (order && !isOrder(order, rows)) {
    return [
      `"${path}" has ${rows} rows, which ${sizes.heads} heads (${sizes.keyHeads} of keys) do not divide ` +
        '(is this the config.json of its base?)',
    ]
  }
  return name.short === 'output' && base.tie_word_embeddings === true
    ? [`"${path}" is tied to the embedding, so that GGUF has no output layer (adapt the embedding)`]
    : []
}

/**
 * The bytes of a GGUF file with the adapter in `source`, for a base with the configuration `base` (the
 * value of its config.json). Throws a `config` error that lists everything that such a file cannot hold:
 * DoRA, trained biases, tokens and modules, architectures and layers that llama.cpp lacks; `numeric`
 * for numbers beyond f16.
 *
 * @example
 * ```ts
 * import { memoryDirectory, readJson } from 'lowrank/io'
 * import { attach, exportGguf, saveAdapter } from 'lowrank/lora'
 * import { loadModel } from 'lowrank/models/auto'
 * import { directory } from 'lowrank/node'
 *
 * const base = directory('examples/house/model')
 * const adapter = memoryDirectory()
 * await saveAdapter(attach(await loadModel(base), { r: 4 }), adapter)
 * const config = (await readJson(base, 'config.json')) as Record<string, unknown>
 * const file = await exportGguf(adapter, config)
 * console.log(new TextDecoder().decode(file.subarray(0, 4))) // GGUF
 * ```
 */
export async function exportGguf(
  source: ByteSource,
  base: Json,
  options: GgufOptions = {},
): Promise<Uint8Array> {
  const file = await readAdapterFile(source)
  const architecture = architectureOf(base)
  throwAll('config', `${WHERE}: ${source.label}`, [
    ...problemsOf(file),
    ...file.layers.flatMap(layer => layerProblems(layer, architecture, base)),
  ])
  // The file holds 32 bits of alpha, and that is what a reader divides.
  const alpha = Math.fround(file.loraAlpha)
  const sizes = headSizes(base)
  const type = options.outtype === 'f16' ? 'F16' : 'F32'
  const tensors = file.layers.flatMap(layer => layerTensors(layer, architecture, sizes, alpha))
  for (const tensor of tensors) {
    checkFinite(tensor.name, tensor, type)
  }
  const keys = new Map<string, GgufValue>([
    ['general.architecture', { type: 'STRING', value: architecture.name }],
    ['general.type', { type: 'STRING', value: 'adapter' }],
    ['adapter.type', { type: 'STRING', value: 'lora' }],
    ['general.name', { type: 'STRING', value: options.name ?? 'Adapter' }],
    ['adapter.lora.alpha', { type: 'FLOAT32', value: alpha }],
    ['general.quantization_version', { type: 'UINT32', value: 2 }],
  ])
  return encodeGguf(keys, tensors, type)
}
