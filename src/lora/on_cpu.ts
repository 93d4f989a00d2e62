// Work that looks at elements at once, on a model whose backend cannot be read at once: the parameters are
// read, stand on the default backend while the work is done, and go back. So what merges, what starts from
// a weight, and what resizes has one way of computing, with the bits that it has there.

import { type Backend, currentBackend, withBackend } from '../core/backend.ts'
import type { TypedArray } from '../core/dtype.ts'
import type { Parameter } from '../core/parameter.ts'
import { hostOf, hostStorage, release, type Storage } from '../core/scope.ts'
import { storageOf } from '../core/tensor.ts'
import { Module } from '../nn/module.ts'
import { holdersIn } from './adapters.ts'
import { LoraModule } from './module.ts'

/** A parameter that was taken from its backend. */
interface Taken {
  readonly home: Storage
  readonly here: Storage
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
      taken.set(parameter, {
        home,
        here: await copyOn(backend, home),
        held: held.has(parameter),
      })
    }
  }
  return taken
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

/**
 * Runs `fn` while all of a model stands on the default backend, and puts it back: for `merge`,
 * `mergeAndUnload`, `mergedLayer`, `padRanks`, `resizeTokenEmbeddings`, and for `attach` with a start from
 * the singular values of weights, on a backend such as `webgpu` that cannot be read at once. Elsewhere it
 * calls `fn` alone. A module that `fn` returns is put back, too; tensors stay where they are. Not for
 * training. Throws what `fn` throws, with the model put back.
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
export async function onCpu<T>(model: Module, fn: () => T | Promise<T>): Promise<T> {
  const backend = withBackend(undefined, currentBackend)
  const taken = await takeAll(model, backend)
  if (taken.size === 0) {
    return fn()
  }
  const modules = [model]
  for (const [parameter, { here }] of taken) {
    parameter.storage = here
  }
  try {
    const result = await withBackend(backend, fn)
    if (result instanceof Module) {
      modules.push(result)
    }
    return result
  } finally {
    putAllBack(modules, taken, backend)
  }
}
