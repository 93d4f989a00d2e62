// Another adapter in the place of one that serves: its numbers are written into the buffers that are there,
// whatever its rank, with zeros in the rows of A and columns of B that it does not have. Nothing is
// allocated, no module changes, and other adapters keep their bytes. Source: PEFT 0.21, `hotswap_adapter`.

import { throwAll } from '../../core/errors.ts'
import { Parameter } from '../../core/parameter.ts'
import { release } from '../../core/scope.ts'
import { countOf, type Shape } from '../../core/shape.ts'
import { type ByteSource, locate } from '../../io/source.ts'
import type { Module } from '../../nn/module.ts'
import { adapterConfigs, type LoraLayer, loraLayers } from '../adapters.ts'
import type { StateWeights } from '../attach.ts'
import { type ResolvedConfig, scalingOf } from '../config.ts'
import type { Extension } from '../extension.ts'
import { checkAdapters } from '../module.ts'
import type { LoraState } from '../state.ts'
import { exactPattern } from '../targets.ts'
import { readAdapter, WEIGHTS_FILE, weightsOf } from './peft.ts'
import { checkSameKind } from './swap_kind.ts'

/** Elements of `values` [rows, cols] in the corner of zeros [wideRows, wideCols]. */
function padded(
  values: ArrayLike<number>,
  [rows, cols]: readonly [number, number],
  [wideRows, wideCols]: readonly [number, number],
): Float32Array {
  const wide = new Float32Array(wideRows * wideCols)
  for (let i = 0; i < rows * cols; i++) {
    wide[Math.floor(i / cols) * wideCols + (i % cols)] = values[i]
  }
  return wide
}

/** Writes into the buffer that is there, unless the backend has laid it out in its own way. */
function overwrite(parameter: Parameter, data: Float32Array): void {
  const { backend, storage } = parameter
  if (storage.packed) {
    parameter.replace(data)
    return
  }
  backend.write(parameter.buffer(), 'float32', data)
}

/** The elements of a parameter that was just made; what cannot be read at once is taken as it is. */
function takeOver(parameter: Parameter, made: Parameter): void {
  if (made.backend.synchronous) {
    overwrite(parameter, Float32Array.from(made.dataSync()))
    made.dispose()
    return
  }
  release(parameter.storage)
  parameter.storage = made.storage
}

/** A and B of rank r in the shapes that are there. */
function writeFactors(
  { A, B, r: R }: LoraState,
  weights: StateWeights | undefined,
  r: number,
): void {
  const I = A.size / R
  const O = B.size / R
  const [a, b] = weights ? [weights.A, weights.B] : [[], []]
  overwrite(A, padded(a as ArrayLike<number>, [weights ? r : 0, I], [R, I]))
  overwrite(B, padded(b as ArrayLike<number>, [weights ? O : 0, r], [O, R]))
}

interface Swap {
  readonly layer: LoraLayer['layer']
  readonly state: LoraState
  /** Absent where the new adapter leaves the layer alone. */
  readonly weights: StateWeights | undefined
  readonly r: number
  readonly scaling: number
}

/** loraAlpha by which a rank gives a scaling. */
function alphaOf(scaling: number, r: number, { useRslora }: ResolvedConfig): number {
  return scaling / scalingOf(r, 1, useRslora)
}

function swapLayer(name: string, swap: Swap, config: ResolvedConfig): void {
  const { layer, state, weights, r, scaling } = swap
  writeFactors(state, weights, r)
  if (state.bias) {
    overwrite(state.bias, Float32Array.from(weights?.bias ?? new Float32Array(state.bias.size)))
  }
  const next = { ...state, scaling, loraAlpha: alphaOf(scaling, state.r, config) }
  const extra = weights?.extra ?? state.variant?.extraStart?.(layer, next)
  for (const [key, parameter] of Object.entries(state.extra ?? {})) {
    const start = extra?.[key] ?? []
    if (start instanceof Parameter) {
      takeOver(parameter, start)
    } else {
      overwrite(parameter, Float32Array.from(start))
    }
  }
  layer.unmerge()
  layer.adapters.set(name, next)
}

/** The configuration that makes files of the padded adapter mean the same. */
function restated(
  config: ResolvedConfig,
  swaps: readonly (Swap & { path: string })[],
): ResolvedConfig {
  const sizes = swaps.map(({ path, state, scaling }) => {
    return { key: exactPattern(path), r: state.r, alpha: alphaOf(scaling, state.r, config) }
  })
  const [{ r, alpha: loraAlpha }] = sizes
  const ranks = sizes.filter(size => size.r !== r).map(size => [size.key, size.r])
  const alphas = sizes
    .filter(({ alpha }) => alpha !== loraAlpha)
    .map(({ key, alpha }) => [key, alpha])
  return {
    ...config,
    r,
    loraAlpha,
    rankPattern: Object.fromEntries(ranks),
    alphaPattern: Object.fromEntries(alphas),
  }
}

/** Whether the groups of a convolution share the rank, so that their columns of B lie elsewhere in a wider one. */
function isGrouped({ layer: { base } }: LoraLayer, r: number): boolean {
  return countOf(base.factorShapes(r).B) !== base.outFeatures * r
}

function swapProblems(
  layers: readonly LoraLayer[],
  planned: ReadonlyMap<string, { readonly r: number }>,
  name: string,
): string[] {
  const here = new Map(layers.map(found => [found.path, found]))
  return [...planned].flatMap(([path, { r }]) => {
    const found = here.get(path)
    const state = found?.layer.adapters.get(name)
    if (!found || !state) {
      return `"${path}" has no adapter "${name}" to swap (load the new one under another name)`
    }
    if (r !== state.r && isGrouped(found, state.r)) {
      return `"${path}" is a convolution in groups of rank ${state.r}, the new adapter has ${r}`
    }
    return r > state.r
      ? `"${path}" has room for rank ${state.r}, the new adapter has ${r} (padRanks first)`
      : []
  })
}

export interface HotSwapOptions {
  /** Which adapter gives way; `default` if absent. */
  readonly adapterName?: string
  /** Extensions of your own. */
  readonly extensions?: readonly Extension[]
}

/**
 * Reads a PEFT adapter into the place of one that is on the model, of the same kind and at most its
 * ranks (`padRanks` makes room). Layers that the new one leaves alone get zeros. Throws `target` errors,
 * before anything is changed, for layers without the adapter, larger ranks, or another variant.
 *
 * @example
 * ```ts
 * import { Linear } from 'lowrank'
 * import { memoryDirectory } from 'lowrank/io'
 * import { attach, hotSwap, padRanks, saveAdapter } from 'lowrank/lora'
 *
 * const files = memoryDirectory()
 * await saveAdapter(attach(new Linear(8, 8), { r: 4, loraAlpha: 2 }), files)
 * const layer = attach(new Linear(8, 8), { r: 2 })
 * padRanks(layer, 16)
 * await hotSwap(layer, files)
 * console.log(layer.adapters.get('default')?.scaling) // 0.5
 * ```
 */
export async function hotSwap(
  model: Module,
  source: ByteSource,
  options: HotSwapOptions = {},
): Promise<void> {
  const { adapterName: name = 'default' } = options
  const layers = loraLayers(model).filter(({ layer }) => layer.adapters.has(name))
  checkAdapters(
    'lora.hotSwap',
    layers.map(({ layer }) => layer),
    [name],
  )
  const read = await readAdapter(model, source, { ...options, adapterName: `${name} (new)` })
  const planned = new Map(read.made.layers.map(layer => [layer.path, layer]))
  const where = locate(source, WEIGHTS_FILE)
  throwAll('target', where, swapProblems(layers, planned, name))
  await checkSameKind(where, model, layers, name, read)
  const before = adapterConfigs(model).get(name) as ResolvedConfig
  const swaps = layers.map(({ path, layer }) => {
    const next = planned.get(path)
    const state = layer.adapters.get(name) as LoraState
    const weights = next && weightsOf(next, read.stored)
    return { path, layer, state, weights, r: next?.r ?? 0, scaling: next?.scaling ?? 1 }
  })
  for (const swap of swaps) {
    swapLayer(name, swap, read.made.config)
  }
  const config = { ...read.made.config, targetModules: before.targetModules }
  adapterConfigs(model).set(name, restated(config, swaps))
}

/** Why zeros in further rows of A and columns of B would change what an adapter computes. */
function paddingProblems(found: LoraLayer, { r, start, variant }: LoraState): string[] {
  const reasons = [
    start && 'has a start that was taken from the base, which depends on the rank',
    variant &&
      !variant.padsWithZeros &&
      `is of the variant "${variant.name}", whose columns of B have places`,
    isGrouped(found, r) && 'is a convolution in groups, which share the rank',
  ]
  return reasons.filter(Boolean).map(reason => `"${found.path}" ${reason}`)
}

function zerosLike({ backend, requiresGrad }: Parameter, shape: Shape): Parameter {
  return new Parameter(new Float32Array(countOf(shape)), shape, { backend, requiresGrad })
}

/**
 * Makes room for adapters up to a rank in the place of one: A [R, in], B [out, R], zeros in what is new.
 * The adapter computes what it did. For `hotSwap`; done once, before serving. Throws a `target` error, before
 * anything is changed, for adapters that such zeros would change: fused layers, convolutions in groups,
 * starts that were taken from the base.
 *
 * @example
 * ```ts
 * import { attach, Linear } from 'lowrank'
 * import { padRanks } from 'lowrank/lora'
 *
 * const layer = attach(new Linear(16, 16), { r: 2 })
 * padRanks(layer, 8)
 * console.log(layer.adapters.get('default')?.A.shape) // [8, 16]
 * ```
 */
export function padRanks(model: Module, rank: number, adapterName = 'default'): void {
  const layers = loraLayers(model).filter(({ layer }) => layer.adapters.has(adapterName))
  checkAdapters(
    'lora.padRanks',
    layers.map(({ layer }) => layer),
    [adapterName],
  )
  const problems = layers.flatMap(found =>
    paddingProblems(found, found.layer.adapters.get(adapterName) as LoraState),
  )
  throwAll('target', 'lora.padRanks', problems)
  const config = adapterConfigs(model).get(adapterName) as ResolvedConfig
  const swaps = layers.map(({ path, layer }) => {
    const state = layer.adapters.get(adapterName) as LoraState
    const R = Math.max(rank, state.r)
    const { A, B } = layer.base.factorShapes(R)
    const wide = { ...state, r: R, A: zerosLike(state.A, A), B: zerosLike(state.B, B) }
    const weights = { A: state.A.dataSync(), B: state.B.dataSync() }
    writeFactors(wide, weights, state.r)
    state.A.dispose()
    state.B.dispose()
    const { scaling } = state
    layer.adapters.set(adapterName, { ...wide, loraAlpha: alphaOf(scaling, R, config) })
    return { path, layer, state: wide, weights, r: state.r, scaling }
  })
  adapterConfigs(model).set(adapterName, restated(config, swaps))
}
