// What a report is made of: plain numbers and texts, measured once, so that everything after this
// file is a pure function.

import { adapterChanges, type LayerChange } from '../../analysis/index.ts'
import type { CausalLM } from '../../models/index.ts'
import type { FinetuneRun, MemoryPlan, Prediction } from '../../train/index.ts'
import type { FinetuneArguments } from '../finetune_arguments.ts'

/** What the command has when training is done. */
export interface ReportInput {
  readonly args: FinetuneArguments
  readonly run: FinetuneRun
  readonly plan: MemoryPlan
  /** The most bytes in use at once. */
  readonly peak: number
  readonly before: readonly Prediction[]
  readonly after: readonly Prediction[]
  readonly model: CausalLM
}

export interface ReportData {
  readonly args: FinetuneArguments
  readonly run: Omit<FinetuneRun, 'saveCheckpoint' | 'interrupted'>
  readonly plan: Omit<MemoryPlan, 'toString'>
  readonly peak: number
  readonly before: readonly Prediction[]
  readonly after: readonly Prediction[]
  /** The Hugging Face `model_type`. */
  readonly modelType: string
  /** Parameters that were trained, and all of them. */
  readonly trainable: number
  readonly total: number
  readonly layers: readonly LayerChange[]
}

/** Reads the trained model. */
export async function measure({ model, ...rest }: ReportInput): Promise<ReportData> {
  const sizeOf = (parameters: readonly { size: number }[]): number =>
    parameters.reduce((sum, { size }) => sum + size, 0)
  return {
    ...rest,
    modelType: model.modelType,
    trainable: sizeOf(model.trainable()),
    total: sizeOf(model.parameters()),
    layers: await adapterChanges(model),
  }
}
