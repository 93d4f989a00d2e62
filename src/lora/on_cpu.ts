// Work that looks at elements at once, on a model whose backend cannot be read at once: the parameters are
// read, stand on the default backend while the work is done, and go back. So what merges, what starts from
// a weight, and what resizes has one way of computing, with the bits that it has there.

import { type Backend, currentBackend, withBackend } from '../core/backend.ts'
import type { TypedArray } from '../core/dtype.ts'
import { LowrankError } from '../core/errors.ts'
import type { Parameter } from '../core/parameter.ts'
import { hostOf, hostStorage, refusePromise, release, type Storage } from '../core/scope.ts'
import { storageOf } from '../core/tensor.ts'
import { Module } from '../nn/module.ts'
import { holdersIn } from './adapters.ts'
import { LoraModule } from './module.ts'

/** A parameter that was taken from its backend. */
interface Taken {
  readonly home: Storage
  readonly here: Storage
  /** How often `home` had been opened to writers when it was read. */
  readonly writes: number
  /** Whether an adapter may be written to in its place. */
  readonly held: boolean
}

/** Every parameter of a module and of the adapters in it, merged layers included. */
function allParameters(module: Module): Set<Parameter> {
  const holders = holdersIn(module).map(({ holder }) => holder)
  const merged = holders.flatMap(holder =>
    holder instanceof LoraModule && holder.merged ? holder.merged.parameters() : [],
  )
  const held = holders.flatMap(holder => holder.held())
  return new Set([...module.parameters(), ...held, ...merged])
}

/** The elements as they are stored. */
async function elementsOf(storage: Storage): Promise<TypedArray> {
  const { backend, buffer, dtype, count } = storage
  return buffer === undefined
    ? (hostOf(storage) as TypedArray)
    : backend.readAsync(buffer, dtype, count)
}

async function copyOn(backend: Backend, home: Storage): Promise<Storage> {
  const elements = await elementsOf(home)
  const copy =
    backend.precision === 32
      ? hostStorage(backend, home.dtype, elements)
      : storageOf(elements, home.dtype, backend)
  copy.owner = 'persistent'
  return copy
}

/** Reads parameters one after the other, so that what a read needs on the device is needed once. */
async function takeAll(module: Module, backend: Backend): Promise<Map<Parameter, Taken>> {
  const held = new Set(holdersIn(module).flatMap(({ holder }) => holder.held()))
  const taken = new Map<Parameter, Taken>()
  for (const parameter of allParameters(module)) {
    const home = parameter.storage
    if (!home.backend.synchronous) {
      const { writes } = home
      const here = await copyOn(backend, home)
      taken.set(parameter, { home, here, writes, held: held.has(parameter) })
    }
  }
  return taken
}

/** Throws where a parameter is no longer what was read: going on would undo what it has become. */
function refuseChanged(module: Module, taken: ReadonlyMap<Parameter, Taken>): void {
  const changed = [...allParameters(module)].filter(parameter => {
    const { storage } = parameter
    const was = taken.get(parameter)
    const isAsRead = storage === was?.home && storage.writes === was.writes
    return !(isAsRead || storage.backend.synchronous)
  })
  if (changed.length > 0) {
    throw new LowrankError(
      'scope',
      `onCpu: expected a model that nothing else uses, got one of which ${changed.length} ` +
        'parameters changed while it was read (await training and attaching before)',
    )
  }
}

/** Gives a parameter its elements back on `backend`. */
function moveTo(backend: Backend, parameter: Parameter): void {
  const { storage, dtype } = parameter
  const moved = storageOf(parameter.bits(), dtype, backend)
  moved.owner = 'persistent'
  release(storage)
  parameter.storage = moved
}

function putBack(parameter: Parameter, { home, here, held }: Taken): void {
  const { storage } = parameter
  const isSame = storage === here && storage.owner !== 'released'
  // Frozen weights are never written to; adapters are, in place.
  if (isSame && (here.buffer === undefined || !(held || parameter.requiresGrad))) {
    release(here)
    parameter.storage = home
    return
  }
  if (storage.owner !== 'released') {
    moveTo(home.backend, parameter)
  }
  release(home)
}

/** Whatever `fn` made in the model belongs to the model's backend as well. */
function putAllBack(
  modules: readonly Module[],
  taken: ReadonlyMap<Parameter, Taken>,
  backend: Backend,
): void {
  const [first] = taken.values()
  for (const [parameter, was] of taken) {
    putBack(parameter, was)
  }
  const made = modules.flatMap(module => [...allParameters(module)])
  for (const parameter of new Set(made)) {
    if (first && parameter.backend === backend && parameter.storage.owner !== 'released') {
      moveTo(first.home.backend, parameter)
    }
  }
}

/** The modules in a value: a module, or arrays and records of them. */
function modulesIn(value: unknown): Module[] {
  if (value instanceof Module) {
    return [value]
  }
  if (!(value instanceof Object)) {
    return []
  }
  const isRecord = Object.getPrototypeOf(value) === Object.prototype
  return isRecord || Array.isArray(value) ? Object.values(value).flatMap(modulesIn) : []
}

/** Runs `fn` on what was taken. Nothing is awaited, so that nothing else sees the model meanwhile. */
function runHere<T>(
  model: Module,
  taken: ReadonlyMap<Parameter, Taken>,
  backend: Backend,
  fn: () => T,
): T {
  const modules = [model]
  for (const [parameter, { here }] of taken) {
    parameter.storage = here
  }
  try {
    const result = withBackend(backend, fn)
    refusePromise(result, 'onCpu')
    modules.push(...modulesIn(result))
    return result
  } finally {
    putAllBack(modules, taken, backend)
  }
}

async function takeAndRun<T>(model: Module, fn: () => T): Promise<T> {
  const backend = withBackend(undefined, currentBackend)
  const taken = await takeAll(model, backend)
  refuseChanged(model, taken)
  if (taken.size > 0) {
    return runHere(model, taken, backend, fn)
  }
  const result = fn()
  refusePromise(result, 'onCpu')
  return result
}

/** Settles with the last call: models may share parameters, so that calls wait for each other. */
let last: Promise<unknown> | undefined

/**
 * Runs `fn`, which must be synchronous, while all of a model stands on the default backend, and puts it
 * back: for `merge`, `mergeAndUnload`, `mergedLayer`, `padRanks`, `resizeTokenEmbeddings`, and for `attach`
 * with a start from the singular values of weights, on a backend such as `webgpu` that cannot be read at
 * once. Elsewhere it calls `fn` alone. Modules that `fn` returns, in arrays and plain records too, are put
 * back as well; tensors stay where they are. Not for training: from the call until it resolves nothing else
 * may use the model. Calls wait for each other.
 *
 * Throws what `fn` throws, with the model put back; a TypeError if `fn` returns a promise; a `scope` error,
 * before `fn` is called, where the model was trained or changed while it was read.
 *
 * @example
 * ```ts
 * import { attach, Linear } from 'lowrank'
 * import { mergeAndUnload, onCpu } from 'lowrank/lora'
 *
 * const layer = attach(new Linear(4, 4), { r: 2 })
 * const plain = await onCpu(layer, () => mergeAndUnload(layer))
 * console.log(plain.parameters().length) // 2
 * ```
 */
export function onCpu<T>(model: Module, fn: () => T): Promise<T> {
  const before = last
  const run = async (): Promise<T> => {
    await before
    return takeAndRun(model, fn)
  }
  const result = run()
  last = result.catch(() => undefined)
  return result
}
