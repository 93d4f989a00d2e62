// How much memory a training step will need, before anything is allocated: a model of the same
// shape takes one step on a backend that only counts.

import { withBackend } from '../core/backend.ts'
import { BYTES } from '../core/dtype.ts'
import { LowrankError } from '../core/errors.ts'
import { Parameter } from '../core/parameter.ts'
import { replayDraws } from '../core/random_state.ts'
import { backward, step } from '../core/tape.ts'
import { tensor } from '../core/tensor.ts'
import { holdersIn } from '../lora/adapters.ts'
import { replaceAt } from '../lora/attach.ts'
import { Holder } from '../lora/holder.ts'
import type { CausalLM } from '../models/causal_lm.ts'
import type { Module } from '../nn/module.ts'
import { AdamW } from '../optim/adamw.ts'
import { CountingBackend } from './counting_backend.ts'

export interface MemoryPlanOptions {
  /** Sequences per forward pass. */
  readonly batch: number
  /** Tokens per sequence. */
  readonly tokens: number
}

/** Bytes by what they are for. */
export class MemoryPlan {
  readonly batch: number
  readonly tokens: number
  /** The frozen weights, in their stored dtype. */
  readonly base: number
  /** What is trained, in float32. */
  readonly trainable: number
  readonly gradients: number
  readonly optimizer: number
  /** What one step needs beside all that: activations, temporaries, scratch. */
  readonly step: number
  /** The peak of all of it. */
  readonly total: number

  constructor(
    options: MemoryPlanOptions,
    bytes: Omit<MemoryPlan, 'batch' | 'tokens' | 'toString'>,
  ) {
    this.batch = options.batch
    this.tokens = options.tokens
    this.base = bytes.base
    this.trainable = bytes.trainable
    this.gradients = bytes.gradients
    this.optimizer = bytes.optimizer
    this.step = bytes.step
    this.total = bytes.total
  }

  /** The plan as a table. */
  toString(): string {
    const rows: [string, number][] = [
      ['frozen base', this.base],
      ['trainable', this.trainable],
      ['gradients', this.gradients],
      ['optimizer', this.optimizer],
      [`one step of ${this.batch} × ${this.tokens} tokens`, this.step],
      ['peak', this.total],
    ]
    const width = Math.max(...rows.map(([name]) => name.length))
    return rows
      .map(([name, bytes]) => `${name.padEnd(width)}  ${megabytes(bytes).padStart(10)}`)
      .join('\n')
  }
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(2)} MB`
}

function bytesOfAll(parameters: readonly Parameter[]): number {
  return parameters.reduce((sum, parameter) => sum + parameter.size * BYTES[parameter.dtype], 0)
}

/** A parameter of the same size on the counting backend; nothing is drawn. */
function counted({ dtype, shape, requiresGrad }: Parameter, backend: CountingBackend): Parameter {
  const options = { dtype, backend, requiresGrad }
  return new Parameter(() => new Float32Array(0), shape, options)
}

/** What an adapter is, with every parameter in it replaced; those that are shared stay shared. */
function withParameters<T>(value: T, replaced: (parameter: Parameter) => Parameter): T {
  const inner = (part: unknown): unknown => {
    if (part instanceof Parameter) {
      return replaced(part)
    }
    if (part instanceof Map) {
      return new Map([...part].map(([key, item]) => [key, inner(item)]))
    }
    const isRecord = part instanceof Object && Object.getPrototypeOf(part) === Object.prototype
    return isRecord
      ? Object.fromEntries(Object.entries(part).map(([key, item]) => [key, inner(item)]))
      : part
  }
  return inner(value) as T
}

type HolderClass = new (module: Module, plain: Module) => Holder

/** The holder with all that is in it, around `plain`. */
function heldAround(
  holder: Module,
  plain: Module,
  replaced: (parameter: Parameter) => Parameter,
): Module {
  if (!(holder instanceof Holder)) {
    return plain
  }
  const within = 'original_module' in holder ? (holder.original_module as Module) : plain
  const copy = new (holder.constructor as HolderClass)(heldAround(within, plain, replaced), plain)
  copy.active = holder.active
  for (const [name, value] of Object.entries(holder)) {
    if (value instanceof Map) {
      Object.assign(copy, { [name]: withParameters(value, replaced) })
    }
  }
  return copy
}

/** A model of the same shape, dtypes and adapters on the counting backend. */
function shadowOf(model: CausalLM, backend: CountingBackend): CausalLM {
  return withBackend(backend, () => {
    const shadow = model.sameShape()
    const copies = new Map<Parameter, Parameter>()
    const replaced = (parameter: Parameter): Parameter => {
      const copy = copies.get(parameter) ?? counted(parameter, backend)
      copies.set(parameter, copy)
      return copy
    }
    const places = new Map(shadow.namedModules())
    const outermost = new Map(
      holdersIn(model)
        .toReversed()
        .map(held => [held.path, held.holder]),
    )
    for (const [path, holder] of outermost) {
      const plain = places.get(path) as Module
      replaceAt(shadow, path, heldAround(holder, plain, replaced))
    }
    const originals = model.parameters()
    shadow.parameters().forEach((parameter, i) => {
      parameter.storage = counted(originals[i], backend).storage
      parameter.requiresGrad = originals[i].requiresGrad
    })
    return shadow
  })
}

/** The pairs that adapters subtract, which a model does not list among its parameters. */
function hiddenParameters(model: CausalLM): Parameter[] {
  const listed = new Set(model.parameters())
  const all = holdersIn(model).flatMap(({ holder }) =>
    holder.names().flatMap(name => holder.parametersOf(name).all),
  )
  return [...new Set(all)].filter(parameter => !listed.has(parameter))
}

function runOneStep(model: CausalLM, { batch, tokens }: MemoryPlanOptions): void {
  const { backend } = model.parameters()[0]
  const int32 = { dtype: 'int32', backend } as const
  const ids = tensor(new Int32Array(batch * tokens), [batch, tokens], int32)
  const trained = model.trainable()
  if (trained.length === 0) {
    model.loss(ids, ids)
    return
  }
  const optimizer = new AdamW(trained, { lr: 1 })
  step(() => backward(model.loss(ids, ids)))
  optimizer.step({ maxGradNorm: 1 })
}

/**
 * What training `model` as it is now, adapters included, with AdamW will take at its peak. Nothing
 * is allocated and no weight is read. Throws an `argument` error for sizes the model does not take.
 *
 * @example
 * ```ts
 * import { attach } from 'lowrank'
 * import { loadModel } from 'lowrank/models/auto'
 * import { directory } from 'lowrank/node'
 * import { planMemory } from 'lowrank/train'
 *
 * const model = await loadModel(directory('examples/house/model'))
 * attach(model, { r: 4 })
 * console.log(String(planMemory(model, { batch: 4, tokens: 48 })).includes('peak')) // true
 * ```
 */
export function planMemory(model: CausalLM, options: MemoryPlanOptions): MemoryPlan {
  const { batch, tokens } = options
  const most = model.sizes.maxPositionEmbeddings
  const fits = Number.isInteger(batch) && batch > 0 && Number.isInteger(tokens) && tokens > 1
  if (!fits || tokens > most) {
    throw new LowrankError(
      'argument',
      `planMemory: expected a batch of at least 1 and 2 to ${most} tokens, ` +
        `got ${batch} and ${tokens}`,
    )
  }
  const backend = new CountingBackend()
  replayDraws()(() => runOneStep(shadowOf(model, backend), options))
  const trainable = bytesOfAll(model.trainable())
  const base = bytesOfAll([...model.parameters(), ...hiddenParameters(model)]) - trainable
  const total = backend.memory().peak
  const fixed = base + 4 * trainable
  return new MemoryPlan(options, {
    base,
    trainable,
    gradients: trainable,
    optimizer: 2 * trainable,
    step: total - fixed,
    total,
  })
}
