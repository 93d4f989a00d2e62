// Decoders that classify instead of speaking: a layer `score` over the states of the body. A sequence
// is judged by its last token that is not padding, logits [B, L]; or every token is, [B, T, L]. Losses
// are transformers': cross-entropy, binary cross-entropy for several labels at once, squared error
// for one real value.

import { dims } from '../core/dims.ts'
import { LowrankError } from '../core/errors.ts'
import { type Tensor, tensor } from '../core/tensor.ts'
import { Linear } from '../nn/linear.ts'
import { binaryCrossEntropyWithLogits } from '../ops/binary_cross_entropy_with_logits.ts'
import { crossEntropy } from '../ops/cross_entropy.ts'
import { indexSelect } from '../ops/index_select.ts'
import { mseLoss } from '../ops/mse_loss.ts'
import { reshape } from '../ops/reshape.ts'
import type { ConfigReader } from './config.ts'
import {
  Decoder,
  type DecoderBody,
  type DecoderParts,
  type DecoderSizes,
  type ForwardOptions,
} from './decoder.ts'

/** What is predicted of a sequence: one class, several at once, or real values. */
export type ProblemType =
  | 'single_label_classification'
  | 'multi_label_classification'
  | 'regression'

const PROBLEM_TYPES: readonly ProblemType[] = [
  'single_label_classification',
  'multi_label_classification',
  'regression',
]

/** What config.json says of classification. */
export interface ClassifierConfig {
  readonly numLabels: number
  readonly padTokenId: number | undefined
  /** Absent: regression for one label, classes for int32 labels, several labels for others. */
  readonly problemType: ProblemType | undefined
}

/** Reads the fields of a classifier; transformers' defaults where they are absent. */
export function readClassifierConfig(reader: ConfigReader): ClassifierConfig {
  const { id2label, problem_type: problemType } = reader.json
  const named = typeof id2label === 'object' && id2label !== null ? Object.keys(id2label).length : 2
  return {
    numLabels: reader.size('num_labels', named),
    padTokenId: reader.tokens('pad_token_id')[0],
    problemType:
      problemType === undefined || problemType === null
        ? undefined
        : (reader.choice('problem_type', PROBLEM_TYPES, PROBLEM_TYPES[0]) as ProblemType),
  }
}

/** What both kinds of classifier have: the body `model` and the layer `score` on top. */
abstract class Classifier extends Decoder {
  /** The path of the embedding of the tokens. */
  readonly inputLayer: string
  override readonly outputLayer: string = 'score'
  override readonly modelType: string
  override readonly sizes: DecoderSizes
  readonly classes: ClassifierConfig
  readonly model: DecoderBody
  readonly score: Linear

  constructor(parts: DecoderParts, classes: ClassifierConfig, bias: boolean) {
    super()
    this.modelType = parts.modelType
    this.inputLayer = `model.${parts.inputLayer}`
    this.sizes = parts.sizes
    this.classes = classes
    this.model = parts.body
    this.score = new Linear(parts.hiddenSize, classes.numLabels, { bias })
  }

  /** The mean loss of one batch. */
  abstract loss(inputIds: Tensor, labels: Tensor, options?: ForwardOptions): Tensor
  abstract override forward(inputIds: Tensor, options?: ForwardOptions): Tensor

  protected override body(): DecoderBody {
    return this.model
  }
}

/** The column of each row's last token that is not padding. */
function lastColumns(inputIds: Tensor, padTokenId: number | undefined): number[] {
  const [B, T] = inputIds.shape
  if (padTokenId === undefined && B > 1) {
    throw new LowrankError(
      'argument',
      `forward: a batch of ${B} rows needs the padding token to find their ends ` +
        '(set pad_token_id in config.json, or give one row at a time)',
    )
  }
  const ids = inputIds.dataSync()
  return Array.from({ length: B }, (_, b) => {
    let last = T - 1
    while (last > 0 && ids[b * T + last] === padTokenId) {
      last--
    }
    return last
  })
}

/**
 * A decoder that judges whole sequences: inputIds [B, T] to logits [B, L], from the state of the last
 * token that is not `pad_token_id`, as transformers' `…ForSequenceClassification`. Throws an `argument` error for several rows where no
 * padding token is known.
 */
export class SequenceClassifier extends Classifier {
  constructor(parts: DecoderParts, classes: ClassifierConfig) {
    super(parts, classes, false)
  }

  override forward(inputIds: Tensor, options: ForwardOptions = {}): Tensor {
    const columns = lastColumns(inputIds, this.classes.padTokenId)
    const hidden = this.hidden(inputIds, options)
    const [B, T, C] = hidden.shape
    const rows = columns.map((column, b) => b * T + column)
    const index = tensor(rows, [B], { dtype: 'int32', backend: hidden.backend })
    const last = indexSelect(reshape(hidden, [B * T, C]), 0, index)
    return this.adapted(options, () => this.score.forward(last))
  }

  /**
   * The mean loss. `labels` are classes [B] (int32), zeros and ones [B, L], or real values [B] or
   * [B, L], as `problem_type` says.
   */
  override loss(inputIds: Tensor, labels: Tensor, options: ForwardOptions = {}): Tensor {
    const logits = this.forward(inputIds, options)
    switch (this.#problemType(labels)) {
      case 'single_label_classification':
        return crossEntropy(logits, labels)
      case 'multi_label_classification':
        return binaryCrossEntropyWithLogits(logits, labels)
      case 'regression':
        return mseLoss(reshape(logits, labels.shape), labels)
    }
  }

  #problemType(labels: Tensor): ProblemType {
    const { problemType, numLabels } = this.classes
    if (problemType !== undefined) {
      return problemType
    }
    if (numLabels === 1) {
      return 'regression'
    }
    return labels.dtype === 'int32' ? 'single_label_classification' : 'multi_label_classification'
  }
}

/**
 * A decoder that judges every token: inputIds [B, T] to logits [B, T, L], as transformers'
 * `…ForTokenClassification`. `loss` is the mean cross-entropy over all `labels` [B, T] but −100.
 */
export class TokenClassifier extends Classifier {
  constructor(parts: DecoderParts, classes: ClassifierConfig) {
    super(parts, classes, true)
  }

  override forward(inputIds: Tensor, options: ForwardOptions = {}): Tensor {
    return this.adapted(options, () => this.score.forward(this.hidden(inputIds, options)))
  }

  override loss(inputIds: Tensor, labels: Tensor, options: ForwardOptions = {}): Tensor {
    const { B, T } = dims('loss: inputIds', inputIds, 'B T')
    dims('loss: labels', labels, 'B T', { B, T })
    const logits = this.forward(inputIds, options)
    const { numLabels } = this.classes
    const rows = logits.size / numLabels
    return crossEntropy(reshape(logits, [rows, numLabels]), reshape(labels, [rows]))
  }
}
