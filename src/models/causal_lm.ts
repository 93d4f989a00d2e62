// A decoder with a head over the vocabulary: logits of the next token, and a loss over labels.

import { dims } from '../core/dims.ts'
import { LowrankError } from '../core/errors.ts'
import { type Tensor, tensor } from '../core/tensor.ts'
import { rowAdapters } from '../lora/active.ts'
import { Linear } from '../nn/linear.ts'
import { type CrossEntropySettings, checkClasses, crossEntropyOp } from '../ops/cross_entropy.ts'
import { indexSelectOp } from '../ops/index_select.ts'
import { linearCrossEntropyOp } from '../ops/linear_cross_entropy.ts'
import { reshape } from '../ops/reshape.ts'
import { sliceOp } from '../ops/slice.ts'
import { Decoder, type ForwardOptions } from './decoder.ts'

/** A label that is not learned. */
export const IGNORE_INDEX = -100

const SETTINGS: CrossEntropySettings = {
  reduction: 'mean',
  ignoreIndex: IGNORE_INDEX,
  smoothing: 0,
}

/** A decoder with a head over the vocabulary. */
export abstract class CausalLM extends Decoder {
  /** The path of the embedding of the tokens. */
  abstract readonly inputLayer: string
  /** How many tokens the configuration of the base has; `sizes.vocabSize` once it was resized. */
  abstract readonly originalVocabSize: number
  abstract override forward(inputIds: Tensor, options?: ForwardOptions): Tensor
  /** Says how many tokens the embedding and the head have now: see `resizeTokenEmbeddings`. */
  abstract setVocabSize(vocabSize: number): void
  /** A model of the same configuration on the current backend, with weights not drawn yet. */
  abstract sameShape(): CausalLM
  protected abstract head(): { forward(x: Tensor): Tensor }

  /**
   * The mean cross-entropy of the next token over all labels but IGNORE_INDEX. `labels` [B, T] are
   * aligned with `inputIds`, as in transformers: column t + 1 is what column t is to predict. The
   * head runs only where there is something to learn, a chunk of tokens at a time. Throws a `data` error if
   * there is nothing, `shape` where labels and tokens differ.
   */
  loss(inputIds: Tensor, labels: Tensor, options: ForwardOptions = {}): Tensor {
    const { rows, targets } = learned(inputIds, labels)
    const hidden = this.hidden(inputIds, options)
    const C = hidden.shape[2]
    const flat = reshape(hidden, [hidden.size / C, C])
    const backend = hidden.backend
    const index = tensor(rows, [rows.length], { dtype: 'int32', backend })
    const states = indexSelectOp([flat, index], { axis: 0 })
    const classes = tensor(targets, [targets.length], { dtype: 'int32', backend })
    const head = this.head()
    if (head instanceof Linear && !head.bias) {
      const { V } = dims('loss: head', head.weight, 'V C', { C })
      checkClasses('loss: labels', classes, V, IGNORE_INDEX)
      return linearCrossEntropyOp([states, head.weight, classes, undefined], SETTINGS)
    }
    const logits = this.adapted(perRow(options, rows, labels), () => head.forward(states))
    const { V } = dims('loss: logits', logits, 'rows V', { rows: rows.length })
    checkClasses('loss: labels', classes, V, IGNORE_INDEX)
    return crossEntropyOp([logits, classes, undefined], SETTINGS)
  }

  protected logits(hidden: Tensor, options: ForwardOptions): Tensor {
    const T = hidden.shape[1]
    const last = { axis: 1, start: T - 1, length: 1 }
    const states = options.lastOnly ? sliceOp([hidden], last) : hidden
    return this.adapted(options, () => this.head().forward(states))
  }
}

/** The options of a call for rows that were chosen among all [B·T] of its batch. */
function perRow(options: ForwardOptions, rows: readonly number[], labels: Tensor): ForwardOptions {
  const { adapter, adapterNames = rowAdapters() } = options
  const T = labels.shape[1]
  return {
    adapter,
    adapterNames: adapterNames && rows.map(row => adapterNames[Math.floor(row / T)]),
  }
}

interface Learned {
  /** Rows of the flattened hidden states [B·T, C] that predict something. */
  readonly rows: number[]
  readonly targets: number[]
}

function learned(inputIds: Tensor, labels: Tensor): Learned {
  const { B, T } = dims('loss: inputIds', inputIds, 'B T')
  dims('loss: labels', labels, 'B T', { B, T })
  const values = labels.dataSync()
  const rows: number[] = []
  const targets: number[] = []
  for (let b = 0; b < B; b++) {
    for (let t = 0; t + 1 < T; t++) {
      const target = values[b * T + t + 1]
      if (target !== IGNORE_INDEX) {
        rows.push(b * T + t)
        targets.push(target)
      }
    }
  }
  if (rows.length === 0) {
    throw new LowrankError(
      'data',
      `loss: expected a label to learn among ${labels.size}, got ${IGNORE_INDEX} everywhere`,
    )
  }
  return { rows, targets }
}
