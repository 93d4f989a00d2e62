// Cross-entropy of rows of logits x [rows, V] with classes t [rows], weights w [V], label smoothing s:
//
//   row   l = (1 − s) w[t] (L − x[t]) + s/V Σ_c w[c] (L − x[c]),  L = m + log Z, Z = Σ_c e^(x[c] − m), m = max x
//   none  y = l            sum  y = Σ l            mean  y = Σ l / Σ w[t]
//   dx[c] = g (A e^(x[c] − m) / Z − s/V w[c] − (1 − s) w[t] [c = t]),   A = (1 − s) w[t] + s/V Σ_c w[c],
//
// g = dy, or dy / Σ w[t] for a mean. Ignored rows count for nothing; a mean over none of them is NaN,
// with a gradient of 0. Formulas: torch.nn.functional.cross_entropy; smoothing: Szegedy et al., arXiv
// 1512.00567. The logits are the only [rows, V] that is kept: of the softmax only m and Z per row are,
// and where nothing else can read the logits any more the gradient overwrites them.

import { transformer as binary } from '#kernels/transformer'
import type { Floats, Ints } from '../core/backend.ts'
import { checkChoice, LowrankError } from '../core/errors.ts'
import { exp, log } from '../core/math.ts'
import { defineOp, type Op } from '../core/op.ts'
import { formatShape, type Shape, sameShape } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import { gradientRoom } from './gradient_room.ts'
import { checkInt32 } from './indices.ts'
import { rowExpSum, rowMax } from './logsumexp.ts'
import { REDUCTIONS, type Reduction } from './loss.ts'
import { type Rows, readRows, rowsAlong, writeRows } from './rows.ts'

export interface CrossEntropyKernels {
  /** losses [rows], weights [rows] = w[t], normalizers [rows, 2] = (m, Z); weight is [V], or one with step 0. */
  readonly cross_entropy: (
    logits: Floats,
    target: Ints,
    weight: Floats,
    weightStep: number,
    losses: Floats,
    weights: Floats,
    normalizers: Floats,
    rows: number,
    classes: number,
    ignoreIndex: number,
    smoothing: number,
  ) => void
  /** y = Σ losses / divisor; divisor = Σ weights for a mean (1), else 1. */
  readonly cross_entropy_reduce: (
    losses: Floats,
    weights: Floats,
    mean: number,
    y: Floats,
    divisor: Floats,
    rows: number,
  ) => void
  /** dlogits [rows, V], which may be the logits; dy is [rows], or one number with step 0. */
  readonly cross_entropy_backward: (
    logits: Floats,
    target: Ints,
    weight: Floats,
    weightStep: number,
    normalizers: Floats,
    dy: Floats,
    dyStep: number,
    divisor: Floats,
    dlogits: Floats,
    rows: number,
    classes: number,
    ignoreIndex: number,
    smoothing: number,
  ) => void
}

/** Σ_c w[c] f(c) over the classes. */
function weighted(
  weight: Floats,
  step: number,
  classes: number,
  f: (class_: number) => number,
): number {
  let sum = 0
  for (let c = 0; c < classes; c++) {
    sum += weight[c * step] * f(c)
  }
  return sum
}

export const crossEntropyReference: CrossEntropyKernels = {
  cross_entropy(
    logits,
    target,
    weight,
    weightStep,
    losses,
    weights,
    normalizers,
    rows,
    classes,
    ignoreIndex,
    smoothing,
  ) {
    for (let r = 0; r < rows; r++) {
      losses[r] = 0
      weights[r] = 0
      if (target[r] !== ignoreIndex) {
        const x = (c: number): number => logits[r * classes + c]
        const m = rowMax(logits, r * classes, classes)
        const Z = rowExpSum(logits, r * classes, classes, m)
        const distance = (c: number): number => m - x(c) + log(Z)
        weights[r] = weight[target[r] * weightStep]
        normalizers[2 * r] = m
        normalizers[2 * r + 1] = Z
        losses[r] = (1 - smoothing) * weights[r] * distance(target[r])
        if (smoothing > 0) {
          losses[r] += (smoothing / classes) * weighted(weight, weightStep, classes, distance)
        }
      }
    }
  },

  cross_entropy_reduce(losses, weights, mean, y, divisor, rows) {
    let loss = 0
    let weight = 0
    for (let r = 0; r < rows; r++) {
      loss += losses[r]
      weight += weights[r]
    }
    divisor[0] = mean ? weight : 1
    y[0] = loss / divisor[0]
  },

  cross_entropy_backward(
    logits,
    target,
    weight,
    weightStep,
    normalizers,
    dy,
    dyStep,
    divisor,
    dlogits,
    rows,
    classes,
    ignoreIndex,
    smoothing,
  ) {
    const share = smoothing / classes
    const others = share * weighted(weight, weightStep, classes, () => 1)
    for (let r = 0; r < rows; r++) {
      const ignored = target[r] === ignoreIndex
      const g = dy[r * dyStep] / divisor[0]
      const own = ignored ? 0 : (1 - smoothing) * weight[target[r] * weightStep]
      const [m, Z] = [normalizers[2 * r], normalizers[2 * r + 1]]
      for (let c = 0; c < classes; c++) {
        const at = r * classes + c
        const answer = share * weight[c * weightStep] + (c === target[r] ? own : 0)
        dlogits[at] = ignored ? 0 : g * (((own + others) * exp(logits[at] - m)) / Z - answer)
      }
    }
  },
}

/** The options of the op, complete. */
export interface CrossEntropySettings {
  readonly reduction: Reduction
  readonly ignoreIndex: number
  readonly smoothing: number
}

export interface CrossEntropySaved extends CrossEntropySettings {
  readonly logits: Tensor
  readonly target: Tensor
  readonly weight: Tensor
  readonly normalizers: Tensor
  readonly divisor: Tensor
}

/** The classes lie along the second axis, or the only one. */
function classRows(shape: Shape): Rows {
  return rowsAlong(shape, [Math.min(1, shape.length - 1)])
}

function weightStep(weight: Tensor): number {
  return weight.shape.length
}

export const crossEntropyOp: Op<
  CrossEntropyKernels,
  readonly [logits: Tensor, target: Tensor, weight: Tensor | undefined],
  CrossEntropySettings,
  Tensor,
  CrossEntropySaved
> = /* @__PURE__ */ defineOp({
  name: 'crossEntropy',
  reference: crossEntropyReference,
  binary,

  forward(context, [logits, target, weights], options) {
    const { kernels } = context
    const { reduction, ignoreIndex, smoothing } = options
    const layout = classRows(logits.shape)
    const { rows, cols } = layout
    const weight = weights ?? context.filled([], 1)
    const normalizers = context.empty([rows, 2])
    const divisor = context.filled([], 1)
    const y = context.empty(reduction === 'none' ? target.shape : [])
    const losses = reduction === 'none' ? context.floats(y) : context.temporary(rows)
    const own = context.temporary(rows)
    kernels.cross_entropy(
      readRows(context, context.floats(logits), layout),
      context.ints(target),
      context.floats(weight),
      weightStep(weight),
      losses,
      own,
      context.floats(normalizers),
      rows,
      cols,
      ignoreIndex,
      smoothing,
    )
    if (reduction !== 'none') {
      const mean = reduction === 'mean' ? 1 : 0
      const total = context.floats(divisor)
      kernels.cross_entropy_reduce(losses, own, mean, context.floats(y), total, rows)
    }
    return { y, saved: { logits, target, weight, normalizers, divisor, ...options } }
  },

  backward(context, dy, saved) {
    const { logits, target, weight, normalizers, divisor } = saved
    const layout = classRows(logits.shape)
    const x = readRows(context, context.floats(logits), layout)
    const dx = gradientRoom(context, logits)
    writeRows(context, dx, layout, rows => {
      context.kernels.cross_entropy_backward(
        x,
        context.ints(target),
        context.floats(weight),
        weightStep(weight),
        context.floats(normalizers),
        context.floats(dy),
        saved.reduction === 'none' ? 1 : 0,
        context.floats(divisor),
        rows,
        layout.rows,
        layout.cols,
        saved.ignoreIndex,
        saved.smoothing,
      )
    })
    return [dx]
  },
})

export interface CrossEntropyOptions {
  /** Rows of this class count for nothing; −100 if absent. */
  readonly ignoreIndex?: number
  /** A constant weight per class, [V]. */
  readonly weight?: Tensor
  /** How much of each answer is spread over all classes, from 0 to 1; 0 if absent. */
  readonly labelSmoothing?: number
  /** The mean if absent: over the rows that count, by their weights. */
  readonly reduction?: Reduction
}

function checkShapes(logits: Tensor, target: Tensor, weight: Tensor | undefined): void {
  const { shape } = logits
  const expected = shape.filter((_, axis) => axis !== Math.min(1, shape.length - 1))
  if (shape.length === 0 || !sameShape(target.shape, expected)) {
    throw new LowrankError(
      'shape',
      `crossEntropy: expected logits [rows, classes] and target [rows], or [N, classes, …] and [N, …], ` +
        `got ${formatShape(shape)} and ${formatShape(target.shape)}` +
        (shape.length > 2 ? ' (classes last? reshape both to rows)' : ''),
    )
  }
  const classes = shape[Math.min(1, shape.length - 1)]
  if (weight && !sameShape(weight.shape, [classes])) {
    throw new LowrankError(
      'shape',
      `crossEntropy: expected one weight per class, [${classes}], got ${formatShape(weight.shape)}`,
    )
  }
}

/** Classes that JavaScript holds are checked; those computed on the backend are taken to be in range. */
export function checkClasses(
  where: string,
  target: Tensor,
  classes: number,
  ignoreIndex: number,
): void {
  checkInt32(where, target)
  const values = target.storage.host ?? []
  for (let i = 0; i < values.length; i++) {
    const inRange = values[i] >= 0 && values[i] < classes
    if (!inRange && values[i] !== ignoreIndex) {
      throw new LowrankError(
        'argument',
        `${where}: expected classes from 0 to ${classes - 1} or ${ignoreIndex} (ignored), ` +
          `got ${values[i]} at position ${i}`,
      )
    }
  }
}

/** The settings that options mean. Throws an `argument` error for one out of range. */
export function readSettings(where: string, options: CrossEntropyOptions): CrossEntropySettings {
  const { ignoreIndex = -100, weight, labelSmoothing = 0, reduction = 'mean' } = options
  checkChoice(`${where}: reduction`, reduction, REDUCTIONS)
  if (!(labelSmoothing >= 0 && labelSmoothing <= 1)) {
    throw new LowrankError(
      'argument',
      `${where}: expected labelSmoothing from 0 to 1, got ${labelSmoothing}`,
    )
  }
  if (weight?.requiresGrad) {
    throw new LowrankError('argument', `${where}: weights are constants and get no gradient`)
  }
  return { reduction, ignoreIndex, smoothing: labelSmoothing }
}

/**
 * The cross-entropy of logits [rows, V] with classes [rows] (int32), or [N, V, …] with [N, …] as in
 * PyTorch: a scalar, or a loss per class with reduction `none`. Throws `shape` errors, and `argument`
 * errors for a class or an option out of range.
 *
 * @example
 * ```ts
 * import { crossEntropy, tensor } from 'lowrank'
 *
 * const target = tensor([0, -100], [2], { dtype: 'int32' })
 * console.log(crossEntropy(tensor([0, 0, 5, 1], [2, 2]), target).itemSync()) // 0.6931471824645996
 * ```
 */
export function crossEntropy(
  logits: Tensor,
  target: Tensor,
  options: CrossEntropyOptions = {},
): Tensor {
  const { weight } = options
  const settings = readSettings('crossEntropy', options)
  checkShapes(logits, target, weight)
  const classes = logits.shape[Math.min(1, logits.shape.length - 1)]
  checkClasses('crossEntropy', target, classes, settings.ignoreIndex)
  return crossEntropyOp([logits, target, weight], settings)
}
