// Who owns memory. A step is a stack of scopes; on leaving one, everything goes back to the backend
// but what is returned (it moves to the scope around it) and what the tape holds for backward (it
// is released as soon as it is consumed). What leaves the outermost scope becomes a copy that
// JavaScript owns. Parameters, their gradients and optimizer state are persistent: they belong to
// no scope.

import type { Backend, Floats } from './backend.ts'
import { type DType, isHalf, type TypedArray } from './dtype.ts'
import { LowrankError } from './errors.ts'

export type Owner = 'scope' | 'tape' | 'host' | 'persistent' | 'released'

/** The elements behind one or more tensors. */
export class Storage {
  readonly backend: Backend
  readonly dtype: DType
  readonly count: number
  owner: Owner
  /** Set while the elements are on the backend. */
  buffer: Floats | undefined
  /** Set while JavaScript owns a copy. */
  host: TypedArray | undefined
  /** Makes the copy on first use: weights that a file replaces are never drawn. */
  pending: (() => TypedArray) | undefined
  /** Rows and columns while the backend holds this frozen matrix in its private layout. */
  packed: readonly [rows: number, cols: number] | undefined
  /** How many times the tape needs these elements. */
  holds = 0
  /** How many times these elements were handed out to be written to. */
  writes = 0

  constructor(backend: Backend, dtype: DType, count: number, owner: Owner) {
    this.backend = backend
    this.dtype = dtype
    this.count = count
    this.owner = owner
  }
}

class Scope {
  readonly parent: Scope | undefined
  readonly owned: Storage[] = []
  /** Copies on the backend of storages that JavaScript owns; only the outermost scope has any. */
  readonly uploads: Storage[] = []

  constructor(parent: Scope | undefined) {
    this.parent = parent
  }
}

let current: Scope | undefined

export function inScope(): boolean {
  return current !== undefined
}

/** Room on the backend that the current scope owns. */
export function allocateScoped(backend: Backend, dtype: DType, count: number): Storage {
  if (!current) {
    throw new LowrankError('scope', 'allocate: expected to be inside a scope')
  }
  const storage = new Storage(backend, dtype, count, 'scope')
  storage.buffer = backend.allocate(dtype, count)
  current.owned.push(storage)
  return storage
}

export function usedAfterScope(): LowrankError {
  return new LowrankError(
    'scope',
    'tensor: used after the scope that owned it was left ' +
      '(return it from the module call or step, or read it inside)',
  )
}

/** The copy that JavaScript owns, if it does. */
export function hostOf(storage: Storage): TypedArray | undefined {
  if (storage.pending) {
    storage.host = storage.pending()
    storage.pending = undefined
  }
  return storage.host
}

/** The elements on the backend, uploaded for the length of the outermost scope where needed. */
export function acquire(storage: Storage): Floats {
  if (storage.buffer !== undefined) {
    return storage.buffer
  }
  if (!storage.host && !storage.pending) {
    throw usedAfterScope()
  }
  const buffer = storage.backend.allocate(storage.dtype, storage.count)
  if (!storage.backend.virtual) {
    storage.backend.write(buffer, storage.dtype, hostOf(storage) as TypedArray)
  }
  storage.buffer = buffer
  if (storage.owner === 'persistent') {
    storage.host = undefined
    storage.pending = undefined
    return buffer
  }
  let outermost = current
  while (outermost?.parent) {
    outermost = outermost.parent
  }
  if (!outermost) {
    throw new LowrankError('scope', 'upload: expected to be inside a scope')
  }
  outermost.uploads.push(storage)
  return buffer
}

interface Left {
  readonly backend: Backend
  readonly buffer: Floats
}

/** Results that left every scope on a backend that cannot be read at once, until they are collected. */
const left = /* @__PURE__ */ new FinalizationRegistry<Left>(({ backend, buffer }) =>
  backend.release(buffer),
)

export function release(storage: Storage): void {
  if (storage.buffer !== undefined) {
    left.unregister(storage)
    storage.backend.release(storage.buffer)
    storage.buffer = undefined
  }
  storage.packed = undefined
  storage.host = undefined
  storage.pending = undefined
  storage.owner = 'released'
}

/** The tape needs these elements once more. */
export function hold(storage: Storage): void {
  storage.holds++
}

/** The tape needs these elements once less; the last one releases what no scope owns. */
export function drop(storage: Storage): void {
  storage.holds--
  if (storage.holds === 0 && storage.owner === 'tape') {
    release(storage)
  }
}

/** Hands a storage that the tape owns to the current scope. */
export function adopt(storage: Storage): void {
  if (storage.owner === 'tape' && current) {
    storage.owner = 'scope'
    current.owned.push(storage)
  }
}

function toHost(storage: Storage): void {
  const { backend } = storage
  const buffer = storage.buffer as Floats
  if (!backend.synchronous) {
    // Reading would stall; the elements stay on the backend until the tensor is collected.
    storage.buffer = backend.keep?.(buffer) ?? buffer
    storage.owner = 'persistent'
    left.register(storage, { backend, buffer: storage.buffer }, storage)
    return
  }
  storage.host = backend.read(buffer, storage.dtype, storage.count)
  backend.release(buffer)
  storage.buffer = undefined
  storage.owner = 'host'
}

function close(scope: Scope, kept: ReadonlySet<Storage>): void {
  for (const storage of scope.owned) {
    if (storage.owner !== 'scope') {
      continue
    }
    if (kept.has(storage)) {
      if (scope.parent) {
        scope.parent.owned.push(storage)
      } else {
        toHost(storage)
      }
    } else if (storage.holds > 0) {
      storage.owner = 'tape'
    } else {
      release(storage)
    }
  }
  for (const storage of scope.uploads) {
    if (storage.buffer !== undefined) {
      storage.backend.release(storage.buffer)
      storage.buffer = undefined
    }
  }
}

const NOTHING: ReadonlySet<Storage> = new Set()

/** Collects the storages behind all tensors in a value: a tensor, or arrays and records of them. */
function collectStorages(value: unknown, found: Set<Storage>): void {
  if (value === null || typeof value !== 'object' || ArrayBuffer.isView(value)) {
    return
  }
  const storage = (value as { storage?: unknown }).storage
  if (storage instanceof Storage) {
    found.add(storage)
  } else if (Array.isArray(value)) {
    for (const item of value) {
      collectStorages(item, found)
    }
  } else if (Object.getPrototypeOf(value) === Object.prototype) {
    for (const item of Object.values(value)) {
      collectStorages(item, found)
    }
  }
}

function keptBy(value: unknown): ReadonlySet<Storage> {
  if (value === null || typeof value !== 'object') {
    return NOTHING
  }
  const found = new Set<Storage>()
  collectStorages(value, found)
  return found
}

/** A step holds the backend's memory until it ends: two that wait would interleave in it. */
export function refusePromise(result: unknown, where = 'step'): void {
  if (result instanceof Promise) {
    result.catch(() => undefined)
    throw new TypeError(
      `${where}: expected a synchronous function, got one that returns a promise ` +
        '(await before it, not inside it)',
    )
  }
}

/**
 * Runs `fn` in a scope of its own. Tensors made inside are released on leaving, except those in the
 * returned value. Throws a TypeError if `fn` returns a promise.
 */
export function scoped<T>(fn: () => T): T {
  const scope = new Scope(current)
  current = scope
  let kept = NOTHING
  try {
    const result = fn()
    refusePromise(result)
    kept = keptBy(result)
    return result
  } finally {
    current = scope.parent
    close(scope, kept)
  }
}

/** A storage that JavaScript owns; `data` is taken over, not copied. */
export function hostStorage(backend: Backend, dtype: DType, data: TypedArray): Storage {
  const storage = new Storage(backend, dtype, data.length, 'host')
  storage.host = data
  return storage
}

/** Moves a frozen matrix into the backend's private layout, as its only copy. */
export function packFrozen(storage: Storage, rows: number, cols: number): void {
  const { backend } = storage
  if (!backend.pack || storage.packed || rows * cols !== storage.count) {
    return
  }
  const buffer = acquire(storage)
  storage.buffer = backend.pack(buffer, storage.dtype, rows, cols)
  backend.release(buffer)
  storage.packed = [rows, cols]
}

/** Undoes `packFrozen`: float32, row by row. Only for storages that hold float32. */
export function unpackFrozen(storage: Storage): void {
  if (!storage.packed || isHalf(storage.dtype)) {
    return
  }
  const [rows, cols] = storage.packed
  const buffer = storage.backend.allocate('float32', storage.count)
  const packed = storage.buffer as Floats
  storage.backend.unpack?.(packed, storage.dtype, rows, cols, buffer)
  storage.backend.release(packed)
  storage.buffer = buffer
  storage.packed = undefined
}
