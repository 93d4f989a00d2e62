// EVA on a model: runs it over batches, notes what each layer is given, and attaches an adapter whose A
// are the principal components of that, with the ranks they deserve; B is zero.

import { LowrankError, throwAll } from '../../core/errors.ts'
import type { Tensor } from '../../core/tensor.ts'
import type { Module } from '../../nn/module.ts'
import { plainPath, setAdapter } from '../adapters.ts'
import { type Attached, type AttachOptions, applyPlan } from '../attach.ts'
import type { LoraConfig } from '../config.ts'
import { EXTENSIONS } from '../extensions.ts'
import { baseOf, type PlannedLayer, plan } from '../plan.ts'
import { exactChoice, exactPattern } from '../targets.ts'
import { Eva, type EvaOptions, type EvaStart, type LayerInput, type LayerInputs } from './eva.ts'

/** What `attachEva` takes beside the batches. */
export interface AttachEvaOptions<M, B> extends EvaOptions, AttachOptions {
  /** Runs the model on a batch. */
  readonly forward: (model: M, batch: B) => unknown
  /** Which rows of a layer's input count, one entry for each: not those of padding, say. */
  readonly mask?: (batch: B) => ArrayLike<number | boolean>
  /** Throws after so many batches without an end; 1000 if absent. */
  readonly maxBatches?: number
}

async function inputOf(
  x: Tensor,
  mask: ArrayLike<number | boolean> | undefined,
): Promise<LayerInput> {
  const cols = x.shape.at(-1) as number
  const all = Float64Array.from(await x.data())
  if (!mask) {
    return { data: all, rows: all.length / cols, cols }
  }
  if (mask.length * cols !== all.length) {
    throw new LowrankError(
      'shape',
      `lora.attachEva: expected a mask of ${all.length / cols} rows, got ${mask.length}`,
    )
  }
  const data = all.filter((_, at) => mask[Math.floor(at / cols)])
  return { data, rows: data.length / cols, cols }
}

/** Runs `run` and gives what each of the layers was given in it, the first time. */
async function collect(
  layers: readonly PlannedLayer[],
  mask: ArrayLike<number | boolean> | undefined,
  run: () => unknown,
): Promise<LayerInputs> {
  // Asked for while the layer runs, which is when its input is there.
  const inputs = new Map<string, Promise<LayerInput>>()
  const restore: (() => void)[] = []
  for (const { path, layer } of layers) {
    const module = layer as { forward: (x: Tensor, ...rest: unknown[]) => unknown }
    const { forward } = module
    module.forward = (x, ...rest) => {
      if (!inputs.has(path)) {
        inputs.set(path, inputOf(x, mask))
      }
      return forward(x, ...rest)
    }
    restore.push(() => {
      module.forward = forward
    })
  }
  try {
    run()
  } finally {
    for (const undo of restore) {
      undo()
    }
  }
  const missing = layers.filter(({ path }) => !inputs.has(path)).map(({ path }) => `"${path}"`)
  throwAll(
    'target',
    'lora.attachEva',
    missing.map(path => `${path} was not reached by the batch (exclude it)`),
  )
  const found = new Map<string, LayerInput>()
  for (const [path, input] of inputs) {
    found.set(path, await input)
  }
  return found
}

interface Found {
  readonly path: string
  readonly r: number
  readonly alpha: number
}

/** The configuration with the ranks that were found; layers of rank 0 are no targets. */
function redistributed(model: Module, config: LoraConfig, all: readonly Found[]): LoraConfig {
  const { r = 8, loraAlpha = 8 } = config
  const found = all.filter(layer => layer.r > 0)
  if (found.length === 1 && found[0].path === '') {
    // A single layer has no name to be meant by.
    return {
      ...config,
      r: found[0].r,
      loraAlpha: found[0].alpha,
      rankPattern: {},
      alphaPattern: {},
    }
  }
  const other = found.filter(layer => layer.r !== r)
  const scaled = found.filter(layer => layer.alpha !== loraAlpha)
  const paths = found.map(({ path }) => path)
  const known = [...model.namedModules()].map(([place]) => plainPath(place))
  return {
    ...config,
    ...exactChoice(paths, known),
    rankPattern: Object.fromEntries(other.map(({ path, r }) => [exactPattern(path), r])),
    alphaPattern: Object.fromEntries(scaled.map(({ path, alpha }) => [exactPattern(path), alpha])),
  }
}

async function findStarts<M, B>(
  model: M,
  batches: Iterable<B> | AsyncIterable<B>,
  layers: readonly PlannedLayer[],
  options: AttachEvaOptions<M, B>,
): Promise<Map<string, EvaStart>> {
  const eva = new Eva(new Map(layers.map(({ path, r }) => [path, r])), options)
  const kept: B[] = []
  for await (const batch of batches) {
    kept.push(batch)
  }
  const { maxBatches = 1000, mask, forward } = options
  for (let i = 0; kept.length > 0 && !eva.settled(); i++) {
    if (i === maxBatches) {
      throw new LowrankError(
        'data',
        `lora.attachEva: expected components that settle within ${maxBatches} batches, got none ` +
          '(give larger batches, or a lower tau)',
      )
    }
    const batch = kept[i % kept.length]
    eva.add(await collect(layers, mask?.(batch), () => forward(model, batch)))
  }
  return eva.result()
}

/** `initLoraWeights` is what a file says; the layers that EVA cannot serve are refused by kind. */
function checkLayers(layers: readonly PlannedLayer[]): void {
  const problems = layers
    .filter(({ kind }) => kind !== 'linear' && kind !== 'conv1d')
    .map(
      ({ path, kind }) => `"${path}" is of the kind ${kind}, which EVA cannot start (exclude it)`,
    )
  throwAll('target', 'lora.attachEva', problems)
}

/**
 * Attaches an adapter that starts from the principal components of what its layers are given, with
 * ranks redistributed to where they explain most (Paischer et al. 2024, arXiv 2410.07170). Batches are
 * run again and again until the components settle. Layers that come out with rank 0 get no adapter.
 * Throws `config` and `target` errors as `attach` does, `data` where batches are too small or
 * components do not settle.
 *
 * @example
 * ```ts
 * import { Linear, Random, tensor } from 'lowrank'
 * import { attachEva } from 'lowrank/lora'
 *
 * const random = new Random(1)
 * const rows = Array.from({ length: 32 * 6 }, (_, at) => random.normal() * (1 + (at % 6)))
 * const layer = await attachEva(new Linear(6, 4), { r: 2 }, [tensor(rows, [32, 6])], {
 *   forward: (model, x) => model.forward(x),
 * })
 * console.log(layer.adapters.get('default')?.A.shape) // [2, 6]
 * ```
 */
export async function attachEva<M extends Module, B>(
  model: M,
  config: LoraConfig,
  batches: Iterable<B> | AsyncIterable<B>,
  options: AttachEvaOptions<M, B>,
): Promise<Attached<M>> {
  const extensions = [...(options.extensions ?? []), ...EXTENSIONS]
  const planning = { adapterName: options.adapterName, extensions }
  const first = plan(model, { ...config, initLoraWeights: true }, planning)
  throwAll('target', 'lora.attachEva', first.problems)
  checkLayers(first.layers)
  const starts = await findStarts(model, batches, first.layers, options)
  const adjust = options.adjustScalingFactors ?? true
  const ranks = first.layers.map(({ path, r: planned, loraAlpha }) => {
    const { r } = starts.get(path) as EvaStart
    return { path, r, alpha: adjust ? (loraAlpha * r) / planned : loraAlpha }
  })
  const found = redistributed(model, config, ranks)
  const made = plan(model, { ...found, initLoraWeights: 'eva' }, { ...planning, anyRank: true })
  const attached = applyPlan(model, made, ({ path, layer, r }) => {
    const { A } = starts.get(path) as EvaStart
    return { A, B: new Float64Array(baseOf(layer).outFeatures * r) }
  })
  setAdapter(attached, made.adapterName)
  return attached as Attached<M>
}
