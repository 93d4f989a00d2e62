// `lowrank analyze`: what an adapter did to its base, in numbers and pictures: the change of each layer,
// singular values, amplification, and how alike two adapters look.

import { basename, dirname } from 'node:path'
import {
  type Amplification,
  adapterChanges,
  amplification,
  type LayerChange,
  type SubspaceSimilarities,
  subspaceSimilarities,
} from '../analysis/index.ts'
import { load, loraLayers } from '../lora/index.ts'
import { loadModel } from '../models/auto.ts'
import { directory } from '../node/index.ts'
import type { Output } from './output.ts'
import { analysisPage } from './report/analysis.ts'

export interface AnalyzeArguments {
  readonly model: string
  readonly adapter: string
  /** A second adapter of the same base. */
  readonly other?: string
  /** Where the pictures go. */
  readonly report?: string
}

/** What is known of one layer. */
export interface LayerAnalysis extends LayerChange {
  /** Absent where the update is zero. */
  readonly amplification?: Amplification
  /** Absent without a second adapter on the layer. */
  readonly similarities?: SubspaceSimilarities
}

const OWN = 'adapter'
const OTHER = 'other'

async function analyzeLayers(args: AnalyzeArguments, output: Output): Promise<LayerAnalysis[]> {
  const model = await loadModel(directory(args.model))
  const onWarning = (warning: string): void => output.warn(warning)
  await load(model, directory(args.adapter), { adapterName: OWN, onWarning })
  if (args.other !== undefined) {
    await load(model, directory(args.other), { adapterName: OTHER })
  }
  const layers = new Map(loraLayers(model).map(({ path, layer }) => [path, layer]))
  const analyses: LayerAnalysis[] = []
  for (const change of await adapterChanges(model, OWN)) {
    const layer = layers.get(change.path)
    const [own, other] = [layer?.adapters.get(OWN), layer?.adapters.get(OTHER)]
    analyses.push({
      ...change,
      ...(layer && change.deltaNorm > 0 && { amplification: await amplification(layer, OWN) }),
      ...(own && other && { similarities: await subspaceSimilarities(own.A, other.A) }),
    })
  }
  return analyses
}

function printLayer(layer: LayerAnalysis, output: Output): void {
  const { path, relativeChange, effectiveRank, r } = layer
  const factor = layer.amplification?.factor.toFixed(2) ?? '–'
  output.event('layer', layer)
  output.text(
    `${path}: change ${(100 * relativeChange).toPrecision(3)}%, effective rank ` +
      `${effectiveRank.toFixed(2)} of ${r}, amplification ${factor}`,
  )
}

export async function runAnalyze(args: AnalyzeArguments, output: Output): Promise<void> {
  const layers = await analyzeLayers(args, output)
  for (const layer of layers) {
    printLayer(layer, output)
  }
  if (args.report !== undefined) {
    const page = analysisPage({ ...args, layers })
    await directory(dirname(args.report)).write(basename(args.report), page)
    output.event('report', { report: args.report })
    output.text(`Report: ${args.report}`)
  }
}
