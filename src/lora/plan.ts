// What a configuration would wrap, and everything that is wrong with it, before anything is touched.

import { countOf } from '../core/shape.ts'
import { type Adaptable, isAdaptable } from '../nn/adaptable.ts'
import type { Module } from '../nn/module.ts'
import { type LoraConfig, type ResolvedConfig, resolveConfig, scalingOf } from './config.ts'
import type { Extension } from './extension.ts'
import { LoraModule } from './module.ts'
import { ALL_LINEAR, DEFAULT_TARGETS, matchesTarget, nearMisses, patternValue } from './targets.ts'
import type { Variant } from './variant.ts'

/** One layer that would get an adapter. */
export interface PlannedLayer {
  /** The layer's path in the model; empty for a model that is one layer. */
  readonly path: string
  readonly layer: Adaptable | LoraModule
  /** The kind of the layer: `linear`, `conv1d`, `embedding`, `conv2d`, or one of the user's own. */
  readonly kind: string
  readonly r: number
  readonly loraAlpha: number
  readonly scaling: number
  readonly variant: Variant | undefined
  /** The factor that is not trained, if there is one. */
  readonly frozen: 'A' | 'B' | undefined
  /** The elements of A and B, and of the bias of B if there is one. */
  readonly parameters: number
}

export interface Plan {
  readonly config: ResolvedConfig
  readonly adapterName: string
  /** The targets as PEFT's file states them. */
  readonly targetModules: readonly string[] | string | undefined
  readonly layers: readonly PlannedLayer[]
  /** Everything that keeps `attach` from working, as sentences. */
  readonly problems: readonly string[]
  readonly trainable: number
  /** All parameters of the model, the new ones included. */
  readonly total: number
}

/** What a model may say about itself, for defaults. */
export interface Described {
  /** The Hugging Face `model_type`. */
  readonly modelType?: string
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

interface Candidate {
  readonly path: string
  readonly module: Module
}

/** All modules by path; what an adapter wraps is not listed beside its wrapper. */
function candidatesIn(model: Module): Candidate[] {
  const found: Candidate[] = []
  const wrapped: string[] = []
  for (const [path, module] of model.namedModules()) {
    if (wrapped.some(prefix => path.startsWith(prefix))) {
      continue
    }
    found.push({ path, module })
    if (module instanceof LoraModule) {
      wrapped.push(path === '' ? 'base_layer' : `${path}.base_layer`)
    }
  }
  return found
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
  const byType = model.modelType === undefined ? undefined : DEFAULT_TARGETS[model.modelType]
  if (targetModules === undefined && byType) {
    return byType
  }
  if (targetModules !== undefined && targetModules !== ALL_LINEAR) {
    return targetModules
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
  const list = typeof targets === 'string' ? [targets] : targets
  const matches = (target: string): boolean =>
    candidates.some(({ path }) =>
      matchesTarget('targetModules', path, typeof targets === 'string' ? target : [target]),
    )
  return list
    .filter(target => !matches(target))
    .map(target => {
      const near = nearMisses(target, names)
      const known = [...new Set(names)].slice(0, 12).join(', ')
      const hint = near.length > 0 ? `did you mean "${near.join('", "')}"?` : `there are: ${known}`
      return `target "${target}" matches none of ${linears.length} linear layers (${hint})`
    })
}

function plannedLayer(
  path: string,
  layer: Target,
  config: ResolvedConfig,
  extensions: readonly Extension[],
): PlannedLayer {
  const r = patternValue('rankPattern', path, config.rankPattern) ?? config.r
  const loraAlpha = patternValue('alphaPattern', path, config.alphaPattern) ?? config.loraAlpha
  const base = baseOf(layer)
  const { A, B } = base.factorShapes(r)
  return {
    path,
    layer,
    kind: base.kind,
    r,
    loraAlpha,
    scaling: scalingOf(r, loraAlpha, config.useRslora),
    variant: firstOf(extensions, extension => extension.variant?.(config)),
    frozen: firstOf(extensions, extension => extension.frozen?.(config)),
    parameters: countOf(A) + countOf(B) + (config.loraBias ? layer.outFeatures : 0),
  }
}

function firstOf<T>(
  extensions: readonly Extension[],
  ask: (extension: Extension) => T | undefined,
): T | undefined {
  for (const extension of extensions) {
    const answer = ask(extension)
    if (answer !== undefined) {
      return answer
    }
  }
  return undefined
}

/** Why a fresh adapter cannot start on a layer. */
function startRefusals(
  { path, layer, r, scaling }: PlannedLayer,
  config: ResolvedConfig,
  extensions: readonly Extension[],
): string[] {
  const start = { base: baseOf(layer), r, scaling }
  const reasons = extensions.flatMap(extension => extension.refusal?.(config, start) ?? [])
  return reasons.map(reason => `"${path}" ${reason}`)
}

/** Why a layer cannot take this adapter, as ends of sentences. */
function refusals({ layer, kind, r, variant }: PlannedLayer, config: ResolvedConfig): string[] {
  const base = baseOf(layer)
  const { A, B } = base.factorShapes(r)
  const found = [base.refusal, variant?.refusal?.(base)]
  if (![...A, ...B].every(Number.isInteger)) {
    found.push(`cannot divide a rank of ${r} into its groups (B would be [${B.join(', ')}])`)
  }
  if (config.loraBias && kind === 'embedding') {
    found.push('is an embedding, which has no bias (leave loraBias out)')
  }
  return found.filter(reason => reason !== undefined)
}

function layerProblems(
  planned: PlannedLayer,
  config: ResolvedConfig,
  adapterName: string,
  anyRank: boolean,
): string[] {
  const { path, layer, r } = planned
  const problems = refusals(planned, config).map(reason => `"${path}" ${reason}`)
  const least = Math.min(layer.inFeatures, layer.outFeatures)
  if (r > least && !anyRank) {
    problems.push(
      `"${path}" is [${layer.outFeatures}, ${layer.inFeatures}], so a rank of ${r} is larger than ` +
        `the layer itself (choose r of at most ${least})`,
    )
  }
  if (layer instanceof LoraModule && layer.adapters.has(adapterName)) {
    problems.push(`"${path}" has an adapter "${adapterName}" already (deleteAdapter, or rename)`)
  }
  return problems
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
      matchesTarget('targetModules', path, targets) &&
      !(excludeModules !== undefined && matchesTarget('excludeModules', path, excludeModules)) &&
      extensions.every(({ selects }) => selects?.(path, config) ?? true),
  )
}

function totalParameters(model: Module): number {
  return model.parameters().reduce((sum, parameter) => sum + parameter.size, 0)
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
  const { adapterName = 'default', anyRank = false, extensions = [] } = options
  const resolved = resolveConfig(config, extensions)
  const candidates = candidatesIn(model)
  const linears = candidates.filter(isLinear)
  const alone = isTarget(model)
  const targets = alone ? config.targetModules : spelledTargets(config, model as Described, linears)
  const selected = alone
    ? candidates.slice(0, 1)
    : selectLayers(resolved, targets ?? [], candidates, extensions)
  const problems = alone ? [] : unmatchedTargets(targets ?? [], candidates, linears)
  const layers: PlannedLayer[] = []
  for (const { path, module } of selected) {
    if (isTarget(module)) {
      const planned = plannedLayer(path, module, resolved, extensions)
      layers.push(planned)
      problems.push(...layerProblems(planned, resolved, adapterName, anyRank))
      if (!anyRank) {
        problems.push(...startRefusals(planned, resolved, extensions))
      }
    } else {
      problems.push(
        `"${path}" is a ${module.constructor.name}, which cannot take an adapter ` +
          '(Linear can; exclude it, or name its layers)',
      )
    }
  }
  if (layers.length === 0 && problems.length === 0) {
    problems.push('no layer is left to adapt (does excludeModules exclude every target?)')
  }
  const trainable = layers.reduce((sum, layer) => sum + layer.parameters, 0)
  return {
    config: resolved,
    adapterName,
    targetModules: targets,
    layers,
    problems,
    trainable,
    total: totalParameters(model) + trainable,
  }
}
