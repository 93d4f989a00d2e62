// The tape: records ops while a step runs, walks them backwards once, without recursion. It alone
// owns the invariants of gradients: one per input that needs one, of the input's shape, summed where
// a tensor was used more than once, and everything saved is released as soon as it is consumed.

import type { Floats, KernelSet } from './backend.ts'
import { LowrankError } from './errors.ts'
import {
  type AnyOp,
  type Gradients,
  type Input,
  isRecording,
  OpContext,
  observed,
  type Recorder,
  recordingInto,
  type Saved,
} from './op.ts'
import { Parameter } from './parameter.ts'
import {
  acquire,
  adopt,
  drop,
  hold,
  inScope,
  refusePromise,
  type Storage,
  scoped,
} from './scope.ts'
import { formatShape, sameShape } from './shape.ts'
import { type Origin, Tensor } from './tensor.ts'

/** Kernels of the walker itself. */
const walker: KernelSet<{
  fill: (y: Floats, value: number, n: number) => void
  copy: (x: Floats, y: Floats, n: number) => void
  accumulate: (x: Floats, y: Floats, n: number) => void
}> = {
  name: 'backward',
  reference: {
    fill(y, value, n) {
      for (let i = 0; i < n; i++) {
        y[i] = value
      }
    },
    copy(x, y, n) {
      for (let i = 0; i < n; i++) {
        y[i] = x[i]
      }
    },
    accumulate(x, y, n) {
      for (let i = 0; i < n; i++) {
        y[i] += x[i]
      }
    },
  },
}

interface Node extends Origin {
  consumed: boolean
  readonly op: AnyOp
  readonly inputs: readonly Input[]
  readonly outputs: readonly Tensor[]
  readonly saved: Saved
  readonly needs: readonly boolean[]
  /** Whether forward returned one tensor rather than an array of them. */
  readonly single: boolean
}

/** Calls `act` with the tensors among what was saved; runs twice for every op, so without a copy of it. */
function forSavedTensors(saved: Saved, act: (storage: Storage) => void): void {
  const values = saved as Readonly<Record<string, unknown>>
  for (const key in values) {
    const value = values[key]
    if (value instanceof Tensor) {
      act(value.storage)
    } else if (Array.isArray(value)) {
      for (const item of value) {
        if (item instanceof Tensor) {
          act(item.storage)
        }
      }
    }
  }
}

class Tape implements Recorder {
  nodes: Node[] = []
  /** Tensors, not parameters, that received a gradient. */
  readonly leaves: Set<Tensor> = new Set()

  record(
    op: AnyOp,
    inputs: readonly Input[],
    outputs: readonly Tensor[],
    saved: Saved,
    needs: readonly boolean[],
    single: boolean,
  ): void {
    const node: Node = { consumed: false, op, inputs, outputs, saved, needs, single }
    forSavedTensors(saved, hold)
    for (const output of outputs) {
      if (output.dtype !== 'int32') {
        output.requiresGrad = true
        output.origin = node
      }
    }
    this.nodes.push(node)
  }

  /** Releases what a node saved and cuts its outputs off the tape. */
  consume(node: Node): void {
    node.consumed = true
    forSavedTensors(node.saved, drop)
    for (const output of node.outputs) {
      output.requiresGrad = false
    }
  }

  discard(): void {
    for (const node of this.nodes) {
      if (!node.consumed) {
        this.consume(node)
      }
      for (const output of node.outputs) {
        output.origin = undefined
      }
    }
    this.nodes = []
  }
}

let active: Tape | undefined

/** Whether a step is running. */
export function inStep(): boolean {
  return active !== undefined
}

/**
 * Runs `fn` as one step: ops are recorded, `backward` may be called, and all memory is given back
 * on leaving. Returned tensors, and the gradients of tensors made with `requiresGrad`, become copies
 * that JavaScript owns. Throws a TypeError if `fn` returns a promise and a `scope` error inside
 * another step.
 *
 * @example
 * ```ts
 * import { backward, mul, step, sum, tensor } from 'lowrank'
 *
 * const x = tensor([1, 2, 3], [3], { requiresGrad: true })
 * step(() => backward(sum(mul(x, x))))
 * console.log(x.grad?.dataSync()) // Float32Array [2, 4, 6]
 * ```
 */
export function step<T>(fn: () => T): T {
  if (active || inScope()) {
    throw new LowrankError('scope', 'step: a step is already running (steps do not nest)')
  }
  const tape = new Tape()
  active = tape
  try {
    const left = scoped(() => {
      const result = recordingInto(tape, fn)
      refusePromise(result)
      return { result, gradients: [...tape.leaves].map(leaf => leaf.grad) }
    })
    return left.result
  } finally {
    active = undefined
    tape.discard()
  }
}

/** Runs `fn` without recording: nothing in it can be differentiated. */
export function noGrad<T>(fn: () => T): T {
  return recordingInto(undefined, fn)
}

/** Gradients on their way down, each held until the node that made its tensor consumes it. */
class Flow {
  readonly #gradients: Map<Tensor, Tensor> = new Map()

  has(x: Tensor): boolean {
    return this.#gradients.has(x)
  }

  /** Adds a gradient of `x`; in place where nothing else sees the first one. */
  add(x: Tensor, dx: Tensor): void {
    const before = this.#gradients.get(x)
    if (!before) {
      hold(dx.storage)
      this.#gradients.set(x, dx)
      return
    }
    const context = new OpContext(x.backend, walker, [])
    let sum = before
    if (before.storage.holds > 1 || before.storage.owner === 'host') {
      sum = context.empty(x.shape)
      context.kernels.copy(context.floats(before), context.floats(sum), x.size)
      hold(sum.storage)
      drop(before.storage)
      this.#gradients.set(x, sum)
    }
    context.kernels.accumulate(context.floats(dx), context.floats(sum), x.size)
  }

  /** Takes the gradient of `x` out; the caller drops it. */
  take(x: Tensor): Tensor | undefined {
    const dx = this.#gradients.get(x)
    this.#gradients.delete(x)
    return dx
  }

  leaves(): IterableIterator<[Tensor, Tensor]> {
    return this.#gradients.entries()
  }

  /** Lets go of all gradients, where the walk ends early. */
  abandon(): void {
    for (const dx of this.#gradients.values()) {
      drop(dx.storage)
    }
  }
}

function accumulateParameter(parameter: Parameter, gradient: Tensor): void {
  const context = new OpContext(parameter.backend, walker, [])
  const target = acquire(parameter.gradient().storage)
  const from = context.floats(gradient)
  if (parameter.hasGrad) {
    context.kernels.accumulate(from, target, parameter.size)
  } else {
    context.kernels.copy(from, target, parameter.size)
    parameter.hasGrad = true
  }
}

function checkGradients(node: Node, gradients: Gradients): void {
  node.inputs.forEach((input, i) => {
    const gradient = gradients[i]
    if (!input || !node.needs[i]) {
      return
    }
    if (!gradient || !sameShape(gradient.shape, input.shape)) {
      throw new LowrankError(
        'shape',
        `${node.op.name}: the gradient of input ${i} must be ${formatShape(input.shape)}, ` +
          `got ${gradient ? formatShape(gradient.shape) : 'none'}`,
      )
    }
  })
}

function runBackward(node: Node, dys: readonly (Tensor | undefined)[]): Gradients {
  const output = node.outputs[0]
  const context = new OpContext(output.backend, node.op, node.needs)
  try {
    const dy = node.single ? (dys[0] as Tensor) : dys
    return (
      observed(node.op.name, 'backward', () => node.op.backward?.(context, dy, node.saved)) ?? []
    )
  } finally {
    context.finish()
  }
}

function walkNode(tape: Tape, node: Node, flow: Flow): void {
  const dys = node.outputs.map(output => flow.take(output))
  try {
    scoped(() => {
      const gradients = runBackward(node, dys)
      checkGradients(node, gradients)
      node.inputs.forEach((input, i) => {
        const gradient = gradients[i]
        if (!input || !gradient || !node.needs[i]) {
          return
        }
        if (input instanceof Parameter) {
          accumulateParameter(input, gradient)
        } else {
          flow.add(input, gradient)
        }
      })
    })
  } finally {
    for (const dy of dys) {
      if (dy) {
        drop(dy.storage)
      }
    }
  }
  tape.consume(node)
}

function seed(output: Tensor, dy: Tensor | undefined): Tensor {
  if (dy) {
    if (!sameShape(dy.shape, output.shape)) {
      throw new LowrankError(
        'shape',
        `backward: the output is ${formatShape(output.shape)}, its gradient ${formatShape(dy.shape)}`,
      )
    }
    return dy
  }
  if (output.size !== 1) {
    throw new LowrankError(
      'shape',
      `backward: expected a scalar, got ${formatShape(output.shape)} (pass its gradient)`,
    )
  }
  const context = new OpContext(output.backend, walker, [])
  const ones = context.empty(output.shape)
  context.kernels.fill(context.floats(ones), 1, 1)
  return ones
}

function originOf(output: Tensor): Node {
  const node = output.origin as Node | undefined
  if (!node) {
    throw new LowrankError(
      'scope',
      'backward: the output depends on nothing that requires a gradient ' +
        '(is every parameter frozen, or was it computed under noGrad or outside the step?)',
    )
  }
  if (node.consumed) {
    throw new LowrankError('scope', 'backward: this output was differentiated already')
  }
  return node
}

/**
 * Computes the gradients of `output` for every parameter that is trained and every tensor made with
 * `requiresGrad`, and adds them to `grad`. Without `dy` (of the output's shape) the output must be
 * a scalar. Throws a `scope` error outside a step or on a second call for the same output.
 */
export function backward(output: Tensor, dy?: Tensor): void {
  const tape = active
  if (!tape || !isRecording()) {
    throw new LowrankError('scope', 'backward: expected to be called inside step(() => …)')
  }
  for (const [leaf, gradient] of walk(tape, output, dy).leaves()) {
    keepLeaf(tape, leaf, gradient)
  }
}

/** Walks back from `output`; what is left in the flow are the gradients of tensors not on the tape. */
function walk(tape: Tape, output: Tensor, dy: Tensor | undefined): Flow {
  const last = tape.nodes.indexOf(originOf(output))
  const flow = new Flow()
  flow.add(output, seed(output, dy))
  try {
    for (let i = last; i >= 0; i--) {
      const node = tape.nodes[i]
      if (!node.consumed && node.outputs.some(out => flow.has(out))) {
        recordingInto(undefined, () => walkNode(tape, node, flow))
      }
    }
  } catch (error) {
    flow.abandon()
    throw error
  }
  tape.nodes = tape.nodes.filter(node => !node.consumed)
  return flow
}

/**
 * Runs `fn` on a tape of its own and walks back from what it returns, with `dy` as its gradient: the
 * gradients of the tensors it used. Those of parameters go where they always go.
 */
export function differentiate(fn: () => Tensor, dy: Tensor): ReadonlyMap<Tensor, Tensor> {
  const tape = new Tape()
  try {
    const y = scoped(() => recordingInto(tape, fn))
    if (!tape.nodes.includes(y.origin as Node)) {
      return new Map([[y, dy]])
    }
    const gradients = new Map(walk(tape, y, dy).leaves())
    for (const gradient of gradients.values()) {
      adopt(gradient.storage)
      drop(gradient.storage)
    }
    return gradients
  } finally {
    tape.discard()
  }
}

/** Leaves the gradient of a tensor that the user made in its `grad`, summed over calls. */
function keepLeaf(tape: Tape, leaf: Tensor, gradient: Tensor): void {
  adopt(gradient.storage)
  drop(gradient.storage)
  if (leaf.grad && tape.leaves.has(leaf)) {
    const context = new OpContext(leaf.backend, walker, [])
    context.kernels.accumulate(context.floats(gradient), context.floats(leaf.grad), leaf.size)
    return
  }
  leaf.grad = gradient
  tape.leaves.add(leaf)
}
