// Adapters that are on a model combined into a new one on it, and adapter directories into a new
// directory, without a model. As PEFT's add_weighted_adapter, but for: rank-stabilised scaling (whole.ts),
// calls it takes with a loss (fewer weights than adapters, a name that is taken), and what it drops
// without a word (biases of B, DoRA's magnitudes), which are errors here.

import { LowrankError, throwAll } from '../../core/errors.ts'
import type { ByteSource, Directory, WriteOptions } from '../../io/source.ts'
import type { Module } from '../../nn/module.ts'
import { adapterConfigs, adapterNames, loraLayers, plainPath } from '../adapters.ts'
import { applyPlan } from '../attach.ts'
import type { LoraConfig, ResolvedConfig } from '../config.ts'
import { EXTENSIONS } from '../extensions.ts'
import {
  type AdapterFile,
  type FileLayer,
  type FileTensor,
  type Json,
  mutatedBase,
  readAdapterFile,
  writeAdapterFile,
} from '../files/adapter_file.ts'
import { checkAdapters, type LoraModule } from '../module.ts'
import { type Plan, plan } from '../plan.ts'
import type { LoraState } from '../state.ts'
import { exactChoice, NO_CHOICE } from '../targets.ts'
import type { CombineOptions } from './options.ts'
import { combineWhole, type LayerFactors, type WholeAdapter } from './whole.ts'

const WHERE = 'lora.combine'

async function factorsOf({ base }: LoraModule, state: LoraState): Promise<LayerFactors> {
  const { outFeatures: rows, inFeatures: cols } = base
  const A = Float64Array.from(await state.A.data())
  const B = Float64Array.from(await state.B.data())
  return { A, B, r: A.length / cols, rows, cols, scaling: state.scaling }
}

/** What of an adapter a combination would lose. */
function stateProblems(path: string, name: string, state: LoraState): string[] {
  const what = [
    state.variant && `the parameters of ${state.variant.name}`,
    state.bias && 'a bias of B',
    state.start && 'a start that was taken from the base (save it with convertToLora first)',
    state.own && 'parameters of the base of its own',
  ].filter(part => part)
  return what.map(part => `"${name}" has ${part} on "${path}", which cannot be combined`)
}

/** Options whose parameters are no low-rank updates. */
const BESIDE = ['modulesToSave', 'trainableTokenIndices', 'targetParameters'] as const

function configProblems(name: string, config: ResolvedConfig): string[] {
  const options = config as unknown as Readonly<Record<string, unknown>>
  const beside: string[] = BESIDE.filter(option => Object.keys(options[option] ?? {}).length > 0)
  if ((config.bias ?? 'none') !== 'none') {
    beside.push(`bias '${config.bias}'`)
  }
  return beside.map(option => `"${name}" has ${option}, which cannot be combined`)
}

async function wholeAdapter(model: Module, name: string): Promise<WholeAdapter> {
  const config = adapterConfigs(model).get(name) as ResolvedConfig
  const layers = new Map<string, LayerFactors>()
  const problems = configProblems(name, config)
  for (const { path, layer } of loraLayers(model)) {
    const state = layer.adapters.get(name)
    if (state) {
      problems.push(...stateProblems(path, name, state))
      layers.set(path, await factorsOf(layer, state))
    }
  }
  throwAll('config', WHERE, problems)
  const r = Math.max(config.r, ...Object.values(config.rankPattern))
  return { name, r, targetModules: config.targetModules, useRslora: config.useRslora, layers }
}

/** Options of `combine`, and the new adapter's name. */
export interface CombineModelOptions extends CombineOptions {
  /** What the new adapter is called. */
  readonly adapterName: string
}

function checkNames(model: Module, names: readonly string[], adapterName: string): void {
  checkAdapters(
    WHERE,
    loraLayers(model).map(({ layer }) => layer),
    names,
  )
  if (adapterNames(model).includes(adapterName)) {
    throw new LowrankError(
      'config',
      `${WHERE}: there is an adapter "${adapterName}" already (deleteAdapter, or choose another name)`,
    )
  }
}

/**
 * Combines adapters of a model into a new one beside them, frozen and not yet in use (`setAdapter`):
 * PEFT's `add_weighted_adapter`. `cat` and `svd` (with enough rank) are the exact weighted sum; the others
 * approximate or prune. Throws `config` and `target` errors that list every mistake, before anything is
 * changed. Sources: arXiv 2306.01708 (TIES), 2311.03099 (DARE).
 *
 * @example
 * ```ts
 * import { Linear } from 'lowrank'
 * import { attach, combine } from 'lowrank/lora'
 *
 * const layer = attach(new Linear(6, 4), { r: 2 }, { adapterName: 'first' })
 * attach(layer, { r: 1 }, { adapterName: 'second' })
 * await combine(layer, ['first', 'second'], {
 *   adapterName: 'both',
 *   combinationType: 'cat',
 *   weights: [0.7, 0.3],
 * })
 * console.log(layer.adapters.get('both')?.A.shape) // [3, 6]
 * ```
 */
export async function combine(
  model: Module,
  names: readonly string[],
  options: CombineModelOptions,
): Promise<void> {
  const { adapterName } = options
  checkNames(model, names, adapterName)
  const adapters: WholeAdapter[] = []
  for (const name of names) {
    adapters.push(await wholeAdapter(model, name))
  }
  const result = combineWhole(adapterName, adapters, options)
  const first = adapterConfigs(model).get(names[0]) as ResolvedConfig
  const config = {
    ...first,
    r: result.r,
    loraAlpha: result.r,
    useRslora: result.useRslora,
    ...NO_CHOICE,
    targetModules: result.targetModules,
    rankPattern: {},
    alphaPattern: {},
    initLoraWeights: true,
  }
  addAdapter(model, config, adapterName, result)
}

/** A plan for these layers and no other, by the targets that are there, or by the layers' paths. */
function exactPlan(
  model: Module,
  config: LoraConfig,
  adapterName: string,
  paths: readonly string[],
): Plan {
  const options = { adapterName, anyRank: true, extensions: EXTENSIONS }
  const first = plan(model, config, options)
  // Every layer of an adapter is meant by its own targets, so that more are meant or just these.
  if (first.layers.length === paths.length) {
    return first
  }
  const known = [...model.namedModules()].map(([place]) => plainPath(place))
  return plan(model, { ...config, ...exactChoice(paths, known) }, options)
}

/** Puts factors on the layers that they are for; the default adapter stays what it was. */
function addAdapter(
  model: Module,
  config: LoraConfig,
  adapterName: string,
  { layers }: WholeAdapter,
): void {
  const made = exactPlan(model, config, adapterName, [...layers.keys()])
  applyPlan(model, made, ({ path }) => layers.get(path) as LayerFactors)
}

function fileProblems({ label, config, layers, others }: AdapterFile): string[] {
  const problems: string[] = []
  if (config.use_dora === true || layers.some(({ magnitude }) => magnitude)) {
    problems.push(`${label}: magnitudes of DoRA cannot be combined`)
  }
  if (layers.some(({ bias }) => bias)) {
    problems.push(`${label}: biases of B cannot be combined`)
  }
  const whole = [...others.keys()].filter(key => !key.endsWith('.base_layer.weight'))
  if (whole.length > 0) {
    problems.push(`${label}: ${whole.length} tensors are no low-rank update (${whole[0]})`)
  }
  if ((config.bias ?? 'none') !== 'none') {
    problems.push(`${label}: biases of the base cannot be combined`)
  }
  const mutated = mutatedBase(config)
  return mutated ? [...problems, `${label}: ${mutated}`] : problems
}

/** Options that choose among the layers that targets mean, as files have them. */
const CHOICES = ['exclude_modules', 'layers_to_transform', 'layers_pattern', 'target_parameters']

/** The targets of the result: those that are combined, or paths where something chose among them. */
function targetsOf(files: readonly AdapterFile[], { layers, targetModules }: WholeAdapter): Json {
  const isChosen = files.some(({ config }) => CHOICES.some(name => hasAny(config[name])))
  const paths = [...layers.keys()]
  const targets = isChosen ? exactChoice(paths, paths).targetModules : targetModules
  const none = CHOICES.filter(name => files.some(({ config }) => name in config))
  return { ...Object.fromEntries(none.map(name => [name, null])), target_modules: targets }
}

function hasAny(option: unknown): boolean {
  return typeof option === 'number' || Object.keys(option ?? {}).length > 0
}

function fileFactors({ A, B, r, scaling }: FileLayer): LayerFactors {
  const rows = B.data.length / r
  return { A: A.data, B: B.data, r, rows, cols: A.data.length / r, scaling }
}

function wholeFile(file: AdapterFile, name: string): WholeAdapter {
  const { config, layers } = file
  const ranks = Object.values((config.rank_pattern ?? {}) as Record<string, number>)
  return {
    name,
    r: Math.max(file.r, ...ranks),
    targetModules: config.target_modules as string | readonly string[],
    useRslora: config.use_rslora === true,
    layers: new Map(layers.map(layer => [layer.path, fileFactors(layer)])),
  }
}

function withFactors(layer: FileLayer, { A, B, r, scaling }: LayerFactors): FileLayer {
  const a: FileTensor = { ...layer.A, shape: [r, ...layer.A.shape.slice(1)], data: A }
  const [rows, , ...rest] = layer.B.shape
  const b: FileTensor = { ...layer.B, shape: [rows, r, ...rest], data: B }
  return { ...layer, r, scaling, A: a, B: b }
}

/**
 * Combines adapter directories into a new one, as `combine` does on a model: the adapters must be of one
 * base. Throws `config`, `file` and `shape` errors.
 *
 * @example
 * ```ts
 * import { Linear } from 'lowrank'
 * import { memoryDirectory } from 'lowrank/io'
 * import { attach, combineFiles, saveAdapter } from 'lowrank/lora'
 *
 * const first = memoryDirectory()
 * await saveAdapter(attach(new Linear(4, 4), { r: 2 }), first)
 * const second = memoryDirectory()
 * await saveAdapter(attach(new Linear(4, 4), { r: 2 }), second)
 * const both = memoryDirectory()
 * await combineFiles([first, second], both, { weights: [0.5, 0.5] })
 * console.log(await both.list()) // ['adapter_config.json', 'adapter_model.safetensors']
 * ```
 */
export async function combineFiles(
  sources: readonly ByteSource[],
  directory: Directory,
  options: CombineOptions & WriteOptions = {},
): Promise<void> {
  await directory.checkWritable(options)
  const files: AdapterFile[] = []
  for (const source of sources) {
    files.push(await readAdapterFile(source))
  }
  throwAll('config', WHERE, files.flatMap(fileProblems))
  const adapters = files.map((file, i) => wholeFile(file, `${i + 1}`))
  const result = combineWhole('combined', adapters, options)
  const { r, useRslora, layers } = result
  const shapes = new Map(files.flatMap(file => file.layers.map(layer => [layer.path, layer])))
  const config = {
    ...files[0].config,
    r,
    lora_alpha: r,
    use_rslora: useRslora,
    ...targetsOf(files, result),
    rank_pattern: {},
    alpha_pattern: {},
    init_lora_weights: true,
  }
  const combined = [...layers].map(([path, factors]) =>
    withFactors(shapes.get(path) as FileLayer, factors),
  )
  await writeAdapterFile({ config, layers: combined, others: files[0].others }, directory, options)
}
