// Another adapter in the place of one that serves: its numbers are written into the buffers that are there,
// whatever its rank, with zeros in the rows of A and columns of B that it does not have. Nothing is
// allocated, no module changes, and other adapters keep their bytes. Source: PEFT 0.21, `hotswap_adapter`.

import { LowrankError, throwAll } from '../../core/errors.ts'
import { Parameter } from '../../core/parameter.ts'
import { countOf } from '../../core/shape.ts'
import { type ByteSource, locate } from '../../io/source.ts'
import type { Module } from '../../nn/module.ts'
import { adapterConfigs, type LoraLayer, loraLayers } from '../adapters.ts'
import type { StateWeights } from '../attach.ts'
import { type ResolvedConfig, scalingOf } from '../config.ts'
import type { Extension } from '../extension.ts'
import { checkAdapters } from '../module.ts'
import type { LoraState } from '../state.ts'
import { readAdapter, WEIGHTS_FILE, weightsOf } from './peft.ts'

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
  const exact = backend.precision === 64 ? Float64Array.from(data) : data
  backend.write(parameter.buffer(), 'float32', exact)
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
    overwrite(parameter, Float32Array.from(extra?.[key] ?? []))
  }
  layer.unmerge()
  forgetMerged(layer)
  layer.adapters.set(name, next)
}

/** What was merged is of the adapter before. */
function forgetMerged(layer: Swap['layer']): void {
  layer.merged?.dispose()
  layer.merged = undefined
}

/** The configuration that makes files of the padded adapter mean the same. */
function restated(
  config: ResolvedConfig,
  swaps: readonly (Swap & { path: string })[],
): ResolvedConfig {
  const exact = (path: string): string => path.replaceAll('.', '\\.')
  const ranks = swaps.map(({ path, state }) => [exact(path), state.r] as const)
  const alphas = swaps.map(({ path, state, scaling }) => {
    return [exact(path), alphaOf(scaling, state.r, config)] as const
  })
  return {
    ...config,
    rankPattern: Object.fromEntries(ranks),
    alphaPattern: Object.fromEntries(alphas),
  }
}

function swapProblems(
  layers: readonly LoraLayer[],
  planned: ReadonlyMap<string, { readonly r: number }>,
  name: string,
): string[] {
  const here = new Map(layers.map(({ path, layer }) => [path, layer.adapters.get(name)]))
  return [...planned].flatMap(([path, { r }]) => {
    const state = here.get(path)
    if (!state) {
      return `"${path}" has no adapter "${name}" to swap (load the new one under another name)`
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
  checkSameSort(where, layers, name, read.made.layers[0]?.variant?.name, read.made.parts.length)
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

/** Only like can take the place of like. */
function checkSameSort(
  where: string,
  layers: readonly LoraLayer[],
  name: string,
  variant: string | undefined,
  parts: number,
): void {
  const before = layers[0]?.layer.adapters.get(name)
  const start = layers.some(({ layer }) => layer.adapters.get(name)?.start)
  if (before?.variant?.name !== variant || parts > 0 || start) {
    throw new LowrankError(
      'target',
      `${where}: expected an adapter like the one that it replaces (${before?.variant?.name ?? 'plain LoRA'}), ` +
        `got ${variant ?? 'plain LoRA'}${parts > 0 ? ' with whole modules, biases or tokens' : ''} ` +
        '(load it under another name)',
    )
  }
}

/**
 * Makes room for adapters up to a rank in the place of one: A [R, in], B [out, R], zeros in what is new.
 * The adapter computes what it did. For `hotSwap`; done once, before serving.
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
  const config = adapterConfigs(model).get(adapterName) as ResolvedConfig
  const swaps = layers.map(({ path, layer }) => {
    const state = layer.adapters.get(adapterName) as LoraState
    const R = Math.max(rank, state.r)
    const shapes = layer.base.factorShapes(R)
    const { backend } = state.A
    const requiresGrad = state.A.requiresGrad
    const wide = {
      ...state,
      r: R,
      A: new Parameter(new Float32Array(countOf(shapes.A)), shapes.A, { backend, requiresGrad }),
      B: new Parameter(new Float32Array(countOf(shapes.B)), shapes.B, { backend, requiresGrad }),
    }
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
