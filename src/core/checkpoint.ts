// Activation checkpointing: forward keeps nothing of a part of the model but its inputs, backward runs
// the part again, on a tape of its own, with the same random draws and the same adapters, and goes back
// through it. The gradients have the same bits as without. Source: Chen, Xu, Zhang, Guestrin, "Training
// deep nets with sublinear memory cost" (arXiv 1604.06174).

import { replaySurroundings } from './ambient.ts'
import {
  type AnyOp,
  currentRecorder,
  type Gradients,
  type OpContext,
  type Recorder,
  recordingInto,
  type Saved,
} from './op.ts'
import { Parameter } from './parameter.ts'
import { replayDraws } from './random_state.ts'
import { scoped } from './scope.ts'
import { differentiate } from './tape.ts'
import { Tensor } from './tensor.ts'

/** Finds out what a function uses that needs a gradient, and keeps nothing for backward. */
class Probe implements Recorder {
  /** Tensors from outside, not parameters. */
  readonly used: Set<Tensor> = new Set()
  readonly #made: Set<Tensor> = new Set()

  record(
    _op: AnyOp,
    inputs: readonly (Tensor | undefined)[],
    outputs: readonly Tensor[],
    _saved: Saved,
    needs: readonly boolean[],
  ): void {
    inputs.forEach((input, i) => {
      if (input && needs[i] && !this.#made.has(input) && !(input instanceof Parameter)) {
        this.used.add(input)
      }
    })
    for (const output of outputs) {
      if (output.dtype !== 'int32') {
        output.requiresGrad = true
        this.#made.add(output)
      }
    }
  }

  /** Whether backward would go through `y`. */
  made(y: Tensor): boolean {
    return this.#made.has(y)
  }
}

interface Checkpoint {
  readonly fn: (...inputs: Tensor[]) => Tensor
  readonly inputs: readonly Tensor[]
  /** What `fn` uses beside its inputs. */
  readonly captured: readonly Tensor[]
  readonly replay: <T>(fn: () => T) => T
}

/** The same elements, off the tape; parameters stay themselves. */
function detached(x: Tensor, needed: boolean): Tensor {
  if (x instanceof Parameter) {
    return x
  }
  const leaf = new Tensor(x.storage, x.shape)
  leaf.requiresGrad = needed
  return leaf
}

const checkpointOp: AnyOp = {
  name: 'checkpoint',
  reference: {},

  forward() {
    throw new TypeError('checkpoint: its forward is the function it was given')
  },

  backward(context: OpContext<object>, dy: Tensor, saved: Checkpoint): Gradients {
    const { fn, inputs, captured, replay } = saved
    const leaves = inputs.map((input, i) => detached(input, context.needs[i]))
    const gradients = replay(() => differentiate(() => fn(...leaves), dy))
    return [...leaves, ...captured].map((leaf, i) =>
      // What was used may still not have led to the result.
      context.needs[i] ? (gradients.get(leaf) ?? context.filled(leaf.shape, 0)) : undefined,
    )
  },
}

/**
 * `fn(...inputs)`, of which only the inputs are kept for backward: it runs again when its gradients
 * are wanted. Takes about a third more time and the memory of one such part at a time. `fn` must
 * compute the same both times: it may depend on its inputs, on parameters, on the adapters of the call,
 * and on random draws, which are repeated. Source: arXiv 1604.06174.
 *
 * @example
 * ```ts
 * import { backward, checkpoint, mul, step, sum, tensor } from 'lowrank'
 *
 * const x = tensor([1, 2], [2], { requiresGrad: true })
 * step(() => backward(sum(checkpoint(h => mul(mul(h, h), h), [x]))))
 * console.log(x.grad?.dataSync()) // Float32Array [3, 12]
 * ```
 */
export function checkpoint(fn: (...inputs: Tensor[]) => Tensor, inputs: readonly Tensor[]): Tensor {
  const recorder = currentRecorder()
  if (!recorder) {
    return fn(...inputs)
  }
  const [draws, surroundings] = [replayDraws(), replaySurroundings()]
  const probe = new Probe()
  const result = scoped(() => recordingInto(probe, () => fn(...inputs)))
  if (!probe.made(result)) {
    return result
  }
  const y = new Tensor(result.storage, result.shape)
  const captured = [...probe.used].filter(tensor => !inputs.includes(tensor))
  const needs = [...inputs, ...captured].map(tensor => probe.used.has(tensor))
  const replay: Checkpoint['replay'] = rerun => surroundings(() => draws(rerun))
  const saved: Checkpoint = { fn, inputs, captured, replay }
  recorder.record(checkpointOp, [...inputs, ...captured], [y], saved, needs, true)
  return y
}
