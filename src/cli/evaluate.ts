// `lowrank eval`: loss and exact match on held-out examples, by kind where the data names kinds.

import {
  type CompletionExample,
  type Example,
  evaluateLoss,
  exactMatch,
  type Prediction,
  predict,
  tokenizeExamples,
} from '../train/index.ts'
import { openModel, readExamples } from './files.ts'
import type { Output } from './output.ts'

export interface EvaluateArguments {
  readonly model: string
  readonly adapter?: string
  readonly data: string
  readonly batchSize: number
  readonly showErrors: number
}

interface Scored {
  readonly kind: string | undefined
  readonly prediction: Prediction
}

function byKind(scored: readonly Scored[]): Record<string, number> {
  const groups = new Map<string, Prediction[]>()
  for (const { kind, prediction } of scored) {
    if (kind !== undefined) {
      groups.set(kind, [...(groups.get(kind) ?? []), prediction])
    }
  }
  return Object.fromEntries([...groups].map(([kind, list]) => [kind, exactMatch(list)]))
}

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`

function showErrors(predictions: readonly Prediction[], count: number, output: Output): void {
  for (const { prompt, want, got } of predictions.filter(({ exact }) => !exact).slice(0, count)) {
    output.event('error', { prompt, want, got })
    output.text(`\n${prompt.trim()}\n  want ${want.trim()}\n  got  ${got.trim()}`)
  }
}

function hasCompletion(example: Example): example is CompletionExample {
  return 'completion' in example
}

export async function runEvaluate(args: EvaluateArguments, output: Output): Promise<void> {
  const { model, tokenizer } = await openModel(args.model, args.adapter, output)
  const examples = await readExamples(args.data)
  const maxTokens = model.sizes.maxPositionEmbeddings
  const tokenized = tokenizeExamples(examples, tokenizer, { maxTokens, where: args.data })
  const { batchSize } = args
  const loss = await evaluateLoss(model, tokenized, { batchSize })
  const completions = examples.filter(hasCompletion)
  const predictions = await predict(model, tokenizer, completions, { batchSize })
  const scored = predictions.map((prediction, i) => ({
    kind: (completions[i] as { kind?: string }).kind,
    prediction,
  }))
  const kinds = byKind(scored)
  const exact = predictions.length > 0 ? exactMatch(predictions) : undefined
  output.text(`${examples.length} examples, loss ${loss.toFixed(4)}`)
  if (exact !== undefined) {
    output.text(`exact match ${percent(exact)}`)
  }
  for (const [kind, share] of Object.entries(kinds)) {
    output.text(`  ${kind}: ${percent(share)}`)
  }
  showErrors(predictions, args.showErrors, output)
  output.event('eval', { examples: examples.length, loss, exact_match: exact, by_kind: kinds })
}
