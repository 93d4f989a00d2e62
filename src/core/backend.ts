// The seam between TypeScript and the machine that computes. An op names its kernels by their
// reference loops; a backend answers with functions of the same parameter lists. Buffers are opaque
// here: typed arrays for `reference`, byte pointers for `wasm`, GPU buffers for `webgpu`.

import { createDefaultBackend } from '#kernels'
import type { DType, TypedArray } from './dtype.ts'
import { LowrankError } from './errors.ts'

/**
 * Floats as a kernel sees them. Reference loops index them; other backends pass a handle of their
 * own through the same parameter (`wasm`: a byte pointer), which is why nothing else may index them.
 */
export interface Floats {
  readonly length: number
  [index: number]: number
}

/** Integers (indices, classes, 0/1 masks) as a kernel sees them. */
export interface Ints {
  readonly length: number
  [index: number]: number
}

/** A WASM binary: one per kernel family, compiled on first use. */
export interface Binary {
  readonly name: string
  module(): WebAssembly.Module
  /** What it is compiled from; absent where the engine compiles nothing at run time. */
  bytes?(): Uint8Array
}

/** Kernels as an op declares them: its reference loops, and the binary that holds the fast ones. */
export interface KernelSet<K> {
  readonly name: string
  readonly reference: K
  /** The WASM family; the `core` family if absent. */
  readonly binary?: Binary
}

export interface MemoryReport {
  readonly backend: string
  /** Whether results have the same bits on every runtime and CPU. */
  readonly reproducible: boolean
  /** Bytes in use now. */
  readonly used: number
  /** The largest `used` since `resetPeak`. */
  readonly peak: number
  /** Bytes the backend has taken from the system. */
  readonly reserved: number
}

export interface Backend {
  readonly name: string
  readonly reproducible: boolean
  /** Why training is refused on this backend, where it is. */
  readonly inferenceOnly?: string
  /** Whether results can be read without waiting. */
  readonly synchronous: boolean
  /** Set on a backend that only counts bytes: elements are neither made nor written. */
  readonly virtual?: boolean
  /** What float32 tensors are computed and kept in: 64 bits on `reference`, 32 elsewhere. */
  readonly precision: 32 | 64
  kernels<K>(set: KernelSet<K>): K
  /** Uninitialised room for `count` elements. */
  allocate(dtype: DType, count: number): Floats
  release(buffer: Floats): void
  /** Half-precision data is its bits, a Uint16Array, both here and in `read`. */
  write(buffer: Floats, dtype: DType, data: TypedArray): void
  read(buffer: Floats, dtype: DType, count: number): TypedArray
  readAsync(buffer: Floats, dtype: DType, count: number): Promise<TypedArray>
  /** Room for at least `count` floats that any one kernel call may overwrite. */
  scratch(count: number): Floats
  /** Takes over a frozen matrix [rows, cols] in a private layout, where the backend has one. */
  pack?(buffer: Floats, dtype: DType, rows: number, cols: number): Floats
  /** Writes a packed matrix, widened to float32 row by row, into `target`. */
  unpack?(buffer: Floats, dtype: DType, rows: number, cols: number, target: Floats): void
  /** Moves a result that leaves every scope to where steps do not reuse it; for asynchronous backends. */
  keep?(buffer: Floats): Floats
  memory(): MemoryReport
  resetPeak(): void
}

let defaultBackend: Backend | undefined
let chosenBackend: Backend | undefined

/** The backend that new tensors belong to. */
export function currentBackend(): Backend {
  if (chosenBackend) {
    return chosenBackend
  }
  defaultBackend ??= createDefaultBackend()
  return defaultBackend
}

/**
 * Makes `backend` the owner of all tensors created from now on; `undefined` means the default.
 *
 * @example
 * ```ts
 * import { setBackend, tensor } from 'lowrank'
 * import { reference } from 'lowrank/reference'
 *
 * setBackend(reference())
 * console.log(tensor([1, 2], [2]).backend.name) // reference
 * setBackend(undefined)
 * ```
 */
export function setBackend(backend: Backend | undefined): void {
  chosenBackend = backend
}

/**
 * Runs `fn` with `backend` as the owner of new tensors, and puts the old one back; `undefined` means the
 * default.
 */
export function withBackend<T>(backend: Backend | undefined, fn: () => T): T {
  const before = chosenBackend
  chosenBackend = backend
  try {
    return fn()
  } finally {
    chosenBackend = before
  }
}

/**
 * Bytes in use, their peak, and what the current backend has reserved.
 *
 * @example
 * ```ts
 * import { memory } from 'lowrank'
 *
 * console.log(memory().used >= 0) // true
 * ```
 */
export function memory(): MemoryReport {
  return currentBackend().memory()
}

/** Throws unless all operands belong to one backend; returns it. */
export function commonBackend(
  where: string,
  operands: readonly { readonly backend: Backend }[],
): Backend {
  const backend = operands.length > 0 ? operands[0].backend : currentBackend()
  for (const operand of operands) {
    if (operand.backend !== backend) {
      throw new LowrankError(
        'backend',
        `${where}: operands belong to two backends, ${backend.name} and ${operand.backend.name} ` +
          '(create them under one withBackend)',
      )
    }
  }
  return backend
}
