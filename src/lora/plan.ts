// What a configuration would wrap, and everything that is wrong with it, before anything is touched.

import { countOf } from '../core/shape.ts'
import { type Adaptable, isAdaptable } from '../nn/adaptable.ts'
import type { Module } from '../nn/module.ts'
import { adapterNames, plainPath } from './adapters.ts'
import { type LoraConfig, type ResolvedConfig, resolveConfig, scalingOf } from './config.ts'
import type { Extension, PlannedPart } from './extension.ts'
import { Holder } from './holder.ts'
import { LoraModule } from './module.ts'
import { ALL_LINEAR, matchesTarget, nearMisses, patternValue } from './targets.ts'
import type { Variant } from './variant.ts'

/** One layer that would get an adapter. */
export interface PlannedLayer {
  /** The layer's path in the model; empty for a model that is one layer. */
  readonly path: string
  /** Its path now, which other adapters may have put modules into. */
  readonly place: string
  readonly layer: Adaptable | LoraModule
  /** The kind of the layer: `linear`, `conv1d`, `embedding`, `conv2d`, or one of the user's own. */
  readonly kind: string
  readonly r: number
  readonly loraAlpha: number
  readonly scaling: number
  readonly variant: Variant | undefined
  /** The factor that is not trained, if there is one. */
  readonly frozen: 'A' | 'B' | undefined
  /** The elements of A and B, of the bias of B, and of what the variant adds. */
  readonly parameters: number
  /** How many of them training leaves as they are. */
  readonly untrained: number
}

export interface Plan {
  readonly config: ResolvedConfig
  readonly adapterName: string
  /** The targets as PEFT's file states them. */
  readonly targetModules: readonly string[] | string | undefined
  readonly layers: readonly PlannedLayer[]
  /** What the adapter has beside updates of layers. */
  readonly parts: readonly PlannedPart[]
  /** Everything that keeps `attach` from working, as sentences. */
  readonly problems: readonly string[]
  readonly trainable: number
  /** All parameters of the model, the new ones included. */
  readonly total: number
}

/** What a model may say about itself, for defaults. */
export interface Described {
  /** The layers that get updates where the configuration names none. */
  readonly defaultTargets?: readonly string[]
  /** The path of the embedding of the tokens. */
  readonly inputLayer?: string
  /** The path of the layer that maps to the vocabulary: not part of `all-linear`. */
  readonly outputLayer?: string
}

export interface PlanOptions {
  /** The name of the adapter; `default` if absent. */
  readonly adapterName?: string
  /** Whether a rank above the sizes of a layer is accepted, as when reading files. */
  readonly anyRank?: boolean
  /** What goes beyond plain LoRA. */
  readonly extensions?: readonly Extension[]
}

export interface Candidate {
  readonly path: string
  /** The path in the model as it is now, which adapters may have put modules into. */
  readonly place: string
  readonly module: Module
}

/** All modules by path; what adapters stand in the place of is not listed beside them. */
function candidatesIn(model: Module): Candidate[] {
  return [...model.namedModules()]
    .filter(
      ([place, module]) =>
        !place.split('.').includes('base_layer') &&
        (module instanceof LoraModule || !(module instanceof Holder)),
    )
    .map(([place, module]) => ({ path: plainPath(place), place, module }))
}

type Target = Adaptable | LoraModule

function isTarget(module: Module): module is Target {
  return isAdaptable(module) || module instanceof LoraModule
}

/** The layer itself, without the wrapper that it may have. */
export function baseOf(layer: Target): Adaptable {
  return layer instanceof LoraModule ? layer.base : layer
}

/** Layers that `all-linear` means. */
function isLinear({ module }: Candidate): boolean {
  return isTarget(module) && ['linear', 'conv1d'].includes(baseOf(module).kind)
}

function lastName(path: string): string {
  return path.split('.').at(-1) ?? path
}

/** The targets as suffixes or a pattern, with the defaults and `all-linear` spelt out. */
function spelledTargets(
  config: LoraConfig,
  model: Described,
  linears: readonly Candidate[],
): readonly string[] | string | undefined {
  const { targetModules } = config
  const others = config.targetParameters && []
  const wanted = targetModules ?? others ?? model.defaultTargets ?? ALL_LINEAR
  if (wanted !== ALL_LINEAR) {
    return wanted
  }
  const inner = linears.filter(({ path }) => path !== model.outputLayer)
  return [...new Set(inner.map(({ path }) => lastName(path)))].filter(name => name !== '')
}

function unmatchedTargets(
  targets: readonly string[] | string,
  candidates: readonly Candidate[],
  linears: readonly Candidate[],
): string[] {
  const names = linears.map(({ path }) => lastName(path))
  const list = typeof targets === 'string' ? [targets] : targets.map(name => [name])
  return list
    .filter(target => !candidates.some(({ path }) => matchesTarget('targetModules', path, target)))
    .map(String)
    .map(target => {
      const near = nearMisses(target, names)
      const known = [...new Set(names)].slice(0, 12).join(', ')
      const hint = near.length > 0 ? `did you mean "${near.join('", "')}"?` : `there are: ${known}`
      return `target "${target}" matches none of ${linears.length} linear layers (${hint})`
    })
}

function plannedLayer(
  { path, place }: Candidate,
  layer: Target,
  config: ResolvedConfig,
  extensions: readonly Extension[],
): PlannedLayer {
  const r = patternValue('rankPattern', path, config.rankPattern) ?? config.r
  const loraAlpha = patternValue('alphaPattern', path, config.alphaPattern) ?? config.loraAlpha
  const base = baseOf(layer)
  const shapes = base.factorShapes(r)
  const variant = extensions.map(extension => extension.variant?.(config)).find(Boolean)
  const frozen = extensions.map(extension => extension.frozen?.(config)).find(Boolean)
  const own = Object.values({ ...shapes, ...variant?.extraShapes?.(base) })
  return {
    path,
    place,
    layer,
    kind: base.kind,
    r,
    loraAlpha,
    scaling: scalingOf(r, loraAlpha, config.useRslora),
    variant,
    frozen,
    parameters: sum(own.map(countOf)) + (config.loraBias ? layer.outFeatures : 0),
    untrained: frozen ? countOf(shapes[frozen]) : 0,
  }
}

/** Everything that keeps a layer from taking this adapter. */
function layerProblems(
  planned: PlannedLayer,
  config: ResolvedConfig,
  { anyRank, extensions = [] }: PlanOptions,
): string[] {
  const { layer, r, scaling, variant } = planned
  const base = baseOf(layer)
  const { inFeatures, outFeatures } = base
  const reasons = [base.refusal?.(r, config.loraBias), variant?.refusal?.(base)]
  if (!anyRank) {
    const start = { base, r, scaling }
    reasons.push(...extensions.map(extension => extension.refusal?.(config, start)))
  }
  const least = Math.min(inFeatures, outFeatures)
  if (r > least && !anyRank) {
    reasons.push(
      `is [${outFeatures}, ${inFeatures}], too small for rank ${r} (choose r of at most ${least})`,
    )
  }
  return reasons.filter(Boolean).map(reason => `"${planned.path}" ${reason}`)
}

function selectLayers(
  config: ResolvedConfig,
  targets: readonly string[] | string,
  candidates: readonly Candidate[],
  extensions: readonly Extension[],
): Candidate[] {
  const { excludeModules } = config
  return candidates.filter(
    ({ path }) =>
      (matchesTarget('targetModules', path, targets) ||
        extensions.some(({ adds }) => adds?.(path, config))) &&
      !(excludeModules !== undefined && matchesTarget('excludeModules', path, excludeModules)) &&
      extensions.every(({ selects }) => selects?.(path, config) ?? true),
  )
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0)
}

/**
 * What `attach(model, config)` would do, without doing it: layers, ranks, parameters, and all
 * problems at once. Throws a `config` error only where the configuration itself is invalid.
 *
 * @example
 * ```ts
 * import { Linear } from 'lowrank'
 * import { plan } from 'lowrank/lora'
 *
 * const { trainable, total } = plan(new Linear(768, 768), { r: 8 })
 * console.log(trainable, total) // 12288 602880
 * ```
 */
export function plan(model: Module, config: LoraConfig = {}, options: PlanOptions = {}): Plan {
  const { adapterName = 'default', extensions = [] } = options
  const resolved = resolveConfig(config, extensions)
  const candidates = candidatesIn(model)
  const linears = candidates.filter(isLinear)
  const alone = isTarget(model)
  const targets = alone ? config.targetModules : spelledTargets(config, model as Described, linears)
  const selected = alone
    ? candidates.slice(0, 1)
    : selectLayers(resolved, targets ?? [], candidates, extensions)
  const problems = alone ? [] : unmatchedTargets(targets ?? [], candidates, linears)
  if (adapterNames(model).includes(adapterName)) {
    problems.push(`it has an adapter "${adapterName}" already (deleteAdapter, or rename)`)
  }
  const layers: PlannedLayer[] = []
  for (const candidate of selected) {
    const { path, module } = candidate
    if (isTarget(module)) {
      const planned = plannedLayer(candidate, module, resolved, extensions)
      layers.push(planned)
      problems.push(...layerProblems(planned, resolved, options))
    } else {
      problems.push(
        `"${path}" is a ${module.constructor.name}, which cannot take an adapter ` +
          '(exclude it, or name its layers)',
      )
    }
  }
  const request = { model, config: resolved, adapterName, candidates, layers, problems }
  const parts = extensions.flatMap(extension => extension.parts?.(request) ?? [])
  if (layers.length + parts.length + problems.length === 0) {
    problems.push('no layer is left to adapt (all excluded?)')
  }
  const added = sum([...layers, ...parts].map(({ parameters }) => parameters))
  return {
    config: resolved,
    adapterName,
    targetModules: targets,
    layers,
    parts,
    problems,
    trainable: added - sum(layers.map(({ untrained }) => untrained)),
    total: sum(model.parameters().map(({ size }) => size)) + added,
  }
}
