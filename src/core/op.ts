// An op: shape rule and forward, backward, and the plain loops that define it. The context hands out
// kernels and buffers; the tape (tape.ts) owns everything about gradients.

import { type Backend, commonBackend, type Floats, type Ints, type KernelSet } from './backend.ts'
import { BYTES, type DType, FORMAT, isHalf, PANELS } from './dtype.ts'
import { LowrankError } from './errors.ts'
import { Parameter } from './parameter.ts'
import { acquire, allocateScoped, inScope, packFrozen, release, Storage, scoped } from './scope.ts'
import { countOf, type Shape } from './shape.ts'
import { Tensor } from './tensor.ts'

export type Input = Tensor | undefined
export type Output = Tensor | readonly Tensor[]

/** What forward keeps for backward: tensors (held until consumed), arrays of them, plain values. */
export type Saved = object

/** One gradient per input, in order; `undefined` where none is needed. */
export type Gradients = readonly (Tensor | undefined)[]

/** A matrix operand as matrix kernels take it. */
export interface Matrix {
  readonly buffer: Floats
  readonly format: number
}

export interface OpDefinition<K, I extends readonly Input[], A, Y extends Output, V extends Saved>
  extends KernelSet<K> {
  forward(context: OpContext<K>, inputs: I, options: A): { y: Y; saved: V }
  /** Absent where nothing is differentiable. `dy` is an array where forward returned one. */
  backward?(
    context: OpContext<K>,
    dy: Y extends Tensor ? Tensor : readonly (Tensor | undefined)[],
    saved: V,
  ): Gradients
}

/** An op whose types are of no interest: what the tape and the walkers of all ops see. */
// biome-ignore lint/suspicious/noExplicitAny: the tape calls ops of every signature
export type AnyOp = OpDefinition<any, any, any, any, any>

/** Kernels of the context itself. */
const basics: KernelSet<{
  fill: (y: Floats, value: number, n: number) => void
  widen: (x: Floats, format: number, y: Floats, n: number) => void
}> = {
  name: 'basics',
  reference: {
    fill(y, value, n) {
      for (let i = 0; i < n; i++) {
        y[i] = value
      }
    },
    widen(x, _format, y, n) {
      for (let i = 0; i < n; i++) {
        y[i] = x[i]
      }
    },
  },
}

/** What an op works with: kernels, outputs, and buffers of its operands. */
export class OpContext<K> {
  readonly name: string
  readonly backend: Backend
  readonly kernels: K
  /** Which inputs need a gradient: forward saves, and backward computes, only for those. */
  readonly needs: readonly boolean[]
  readonly #temporaries: Storage[] = []

  constructor(backend: Backend, set: KernelSet<K>, needs: readonly boolean[]) {
    this.name = set.name
    this.backend = backend
    this.kernels = backend.kernels(set)
    this.needs = needs
  }

  /** An output; its elements are not initialised. */
  empty(shape: Shape, dtype: DType = 'float32'): Tensor {
    return new Tensor(allocateScoped(this.backend, dtype, countOf(shape)), shape)
  }

  filled(shape: Shape, value: number): Tensor {
    const y = this.empty(shape)
    this.backend.kernels(basics).fill(this.floats(y), value, y.size)
    return y
  }

  /** The same elements under another shape, without a copy. */
  alias(x: Tensor, shape: Shape): Tensor {
    return new Tensor(x.storage, shape)
  }

  /** Room that is given back when this call of the op ends. */
  temporary(count: number): Floats {
    const storage = new Storage(this.backend, 'float32', count, 'scope')
    storage.buffer = this.backend.allocate('float32', count)
    this.#temporaries.push(storage)
    return storage.buffer
  }

  /** Room of at least `count` floats that any one kernel call may overwrite. */
  scratch(count: number): Floats {
    return this.backend.scratch(count)
  }

  /** The elements as float32, row by row; what is stored otherwise is widened for this call. */
  floats(x: Tensor): Floats {
    const { storage } = x
    const { dtype, packed } = storage
    if (dtype === 'int32') {
      throw new LowrankError('dtype', `${this.name}: expected floats, got ${dtype}`)
    }
    const buffer = acquire(storage)
    if (packed) {
      const rows = this.temporary(x.size)
      this.backend.unpack?.(buffer, dtype, packed[0], packed[1], rows)
      return rows
    }
    if (isHalf(dtype)) {
      const wide = this.temporary(x.size)
      this.backend.kernels(basics).widen(buffer, FORMAT[dtype], wide, x.size)
      return wide
    }
    return buffer
  }

  ints(x: Tensor): Ints {
    if (x.dtype !== 'int32') {
      throw new LowrankError('dtype', `${this.name}: expected int32, got ${x.dtype}`)
    }
    return acquire(x.storage)
  }

  /** A matrix operand in its stored dtype; the first product packs a frozen parameter. */
  matrix(x: Tensor, product = true): Matrix {
    const { storage } = x
    if (product && x instanceof Parameter && !x.requiresGrad && x.shape.length === 2) {
      packFrozen(storage, x.shape[0], x.shape[1])
    }
    const format = FORMAT[storage.dtype]
    if (format < 0) {
      throw new LowrankError('dtype', `${this.name}: expected floats, got ${storage.dtype}`)
    }
    const buffer = acquire(storage)
    return { buffer, format: storage.packed ? format + PANELS : format }
  }

  /** Gives temporaries back; the tape calls it when the op has run. */
  finish(): void {
    for (const storage of this.#temporaries) {
      release(storage)
    }
    this.#temporaries.length = 0
  }
}

/** What records ops while a step runs. */
export interface Recorder {
  record(
    op: AnyOp,
    inputs: readonly Input[],
    outputs: readonly Tensor[],
    saved: Saved,
    needs: readonly boolean[],
    single: boolean,
  ): void
}

let recorder: Recorder | undefined

/** Whether ops are recorded for backward: inside a step, and not under `noGrad`. */
export function isRecording(): boolean {
  return recorder !== undefined
}

/** Where ops are recorded now, if anywhere. */
export function currentRecorder(): Recorder | undefined {
  return recorder
}

/** Records into `next` (or not at all) while `fn` runs. */
export function recordingInto<T>(next: Recorder | undefined, fn: () => T): T {
  const before = recorder
  recorder = next
  try {
    return fn()
  } finally {
    recorder = before
  }
}

export interface OpEvent {
  readonly name: string
  readonly phase: 'forward' | 'backward'
  readonly start: number
  readonly duration: number
}

let observer: ((event: OpEvent) => void) | undefined

/** Calls `listener` after every op, forward and backward, until told otherwise. */
export function observeOps(listener: ((event: OpEvent) => void) | undefined): void {
  observer = listener
}

/** Runs `fn`, telling the observer how long it took. */
export function observed<T>(name: string, phase: OpEvent['phase'], fn: () => T): T {
  if (!observer) {
    return fn()
  }
  const start = performance.now()
  const result = fn()
  observer({ name, phase, start, duration: performance.now() - start })
  return result
}

const NONE: readonly boolean[] = []

function call<K, I extends readonly Input[], A, Y extends Output, V extends Saved>(
  op: OpDefinition<K, I, A, Y, V>,
  inputs: I,
  options: A,
): Y {
  const tensors = inputs.filter(input => input !== undefined)
  refuseStrangers(op.name, tensors)
  const backend = commonBackend(op.name, tensors)
  const needs = recorder ? inputs.map(needsGradient) : NONE
  const recorded = recorder && op.backward && needs.includes(true) ? recorder : undefined
  const context = new OpContext<K>(backend, op, recorded ? needs : NONE)
  try {
    const { y, saved } = op.forward(context, inputs, options)
    if (recorded) {
      const single = y instanceof Tensor
      const outputs = single ? [y] : (y as readonly Tensor[])
      recorded.record(op, inputs, outputs, saved, needs, single)
    }
    return y
  } finally {
    context.finish()
  }
}

// Another copy of the package has scopes and a tape of its own: its tensors would be lost in ours.
function refuseStrangers(where: string, inputs: readonly Tensor[]): void {
  if (!inputs.every(input => input instanceof Tensor)) {
    throw new LowrankError(
      'backend',
      `${where}: expected tensors of this copy of lowrank, got others (two copies? npm ls lowrank)`,
    )
  }
}

function needsGradient(input: Input): boolean {
  return input?.requiresGrad === true
}

export interface Op<K, I extends readonly Input[], A, Y extends Output, V extends Saved> {
  (inputs: I, options: A): Y
  readonly definition: OpDefinition<K, I, A, Y, V>
}

/**
 * Makes an op callable: outside any scope it opens one of its own, inside a step it is recorded.
 * Mark the call `@__PURE__`, so that a bundle of one op holds no other.
 */
export function defineOp<K, I extends readonly Input[], A, Y extends Output, V extends Saved>(
  definition: OpDefinition<K, I, A, Y, V>,
): Op<K, I, A, Y, V> {
  const run = (inputs: I, options: A): Y => {
    if (!inScope()) {
      return scoped(() => run(inputs, options))
    }
    return observed(definition.name, 'forward', () => call(definition, inputs, options))
  }
  return Object.assign(run, { definition })
}

/** Bytes of a tensor as it is stored. */
export function bytesOf(x: Tensor): number {
  return x.size * BYTES[x.dtype]
}
