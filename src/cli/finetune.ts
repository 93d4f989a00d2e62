// `lowrank finetune`: reads the options, plans, calls `finetune` of lowrank/train, and writes the
// adapter and the report. There is no training logic here.

import { rm, writeFile } from 'node:fs/promises'
import { totalmem } from 'node:os'
import { memory } from '../core/backend.ts'
import { LowrankError } from '../core/errors.ts'
import { manualSeed } from '../core/random_state.ts'
import { attach, type LoraConfig, saveAdapter, saveProvenance } from '../lora/index.ts'
import type { CausalLM } from '../models/index.ts'
import { directory } from '../node/index.ts'
import {
  type CompletionExample,
  type Example,
  type FinetuneRun,
  finetune,
  type MemoryPlan,
  type Prediction,
  planMemory,
  predict,
  type StepReport,
  startTrace,
  tokenizeExamples,
} from '../train/index.ts'
import { checkWritableFile, type LoadedModel, openModel, readExamples } from './files.ts'
import type { FinetuneArguments } from './finetune_arguments.ts'
import type { Output } from './output.ts'

const GIB = 1024 * 1024 * 1024
/** What one WASM memory can address. */
const ADDRESSABLE = 4 * GIB

export const checkpointPath = (out: string): string => `${out.replace(/\/+$/, '')}.checkpoint`
const reportPath = (out: string): string => `${out.replace(/\/+$/, '')}.report.html`

/** A list of names, or a pattern where it cannot be one. */
function targetsOf(text: string | undefined): LoraConfig['targetModules'] {
  if (text === undefined || text === 'all-linear') {
    return text
  }
  return /^[\w.,-]+$/.test(text) ? text.split(',') : text
}

function loraConfig(args: FinetuneArguments): LoraConfig {
  const { r, loraAlpha, loraDropout, useRslora } = args
  const targetModules = targetsOf(args.targetModules)
  return { r, loraAlpha, loraDropout, useRslora, targetModules, taskType: 'CAUSAL_LM' }
}

/** The memory plan for the longest batch; throws a `memory` error if it does not fit. */
function planned(
  { model, tokenizer }: LoadedModel,
  data: readonly Example[],
  args: FinetuneArguments,
): MemoryPlan {
  const limit = model.sizes.maxPositionEmbeddings
  const maxTokens = Math.min(args.maxTokens ?? limit, limit)
  const tokenized = tokenizeExamples(data, tokenizer, { maxTokens, where: args.data })
  const tokens = Math.max(2, ...tokenized.map(({ ids }) => ids.length))
  const plan = planMemory(model, { batch: Math.min(args.batchSize, data.length), tokens })
  const available = args.maxMemory ?? Math.min(ADDRESSABLE, totalmem())
  if (plan.total > available) {
    throw new LowrankError(
      'memory',
      `finetune: a step of ${plan.batch} × ${plan.tokens} tokens needs ` +
        `${(plan.total / 1e6).toFixed(1)} MB, ${(available / 1e6).toFixed(1)} MB are available ` +
        '(a smaller --batch-size with --gradient-accumulation-steps, or --max-tokens, needs less)',
    )
  }
  return plan
}

async function readOptional(path: string | undefined): Promise<Example[] | undefined> {
  return path === undefined ? undefined : readExamples(path)
}

function hasCompletion(example: Example): example is CompletionExample {
  return 'completion' in example
}

async function samplesOf(
  { model, tokenizer }: LoadedModel,
  examples: readonly Example[],
  count: number,
): Promise<Prediction[]> {
  const stride = Math.max(1, Math.floor(examples.length / Math.max(count, 1)))
  const chosen = examples.filter((_, i) => i % stride === 0).slice(0, count)
  return predict(model, tokenizer, chosen.filter(hasCompletion))
}

/** Trains with a live bar or JSON lines. */
async function train(
  { model, tokenizer }: LoadedModel,
  data: readonly Example[],
  evalData: readonly Example[] | undefined,
  args: FinetuneArguments,
  output: Output,
  signal: AbortSignal,
  onStepDone: () => void,
): Promise<FinetuneRun> {
  const format =
    '{bar} {value}/{total} steps · loss {loss} · {speed} tokens/s · {duration_formatted} · ETA {eta_formatted}'
  let bar: ReturnType<Output['bar']> | undefined
  const onStep = (report: StepReport): void => {
    bar ??= output.bar(format, report.totalSteps)
    onStepDone()
    output.event('step', report)
    bar.update(report.step, {
      loss: report.loss.toFixed(4),
      speed: report.tokensPerSecond.toFixed(0),
    })
  }
  try {
    return await finetune(model, {
      lr: args.lr,
      epochs: args.epochs,
      batchSize: args.batchSize,
      gradientAccumulationSteps: args.gradientAccumulationSteps,
      weightDecay: args.weightDecay,
      maxGradNorm: args.maxGradNorm,
      schedule: args.schedule,
      warmupRatio: args.warmupRatio,
      maxTokens: args.maxTokens,
      evalEvery: args.evalEvery,
      seed: args.seed,
      tokenizer,
      data,
      evalData,
      signal,
      onStep,
      onEval: report => output.event('eval', report),
      onWarning: warning => output.warn(warning),
      resume: args.resume ? directory(checkpointPath(args.out)) : undefined,
    })
  } finally {
    bar?.stop()
  }
}

/** Ctrl-C stops after the running step; a second one ends the process. */
function interruptible(): { signal: AbortSignal; release: () => void } {
  const controller = new AbortController()
  const stop = (): void => controller.abort()
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
  const release = (): void => {
    process.off('SIGINT', stop)
    process.off('SIGTERM', stop)
  }
  return { signal: controller.signal, release }
}

const INTERRUPTED = 130

async function saveInterrupted(
  run: FinetuneRun,
  args: FinetuneArguments,
  output: Output,
): Promise<void> {
  const checkpoint = checkpointPath(args.out)
  await run.saveCheckpoint(directory(checkpoint), { overwrite: true })
  const { steps, totalSteps } = run
  output.event('interrupted', { step: steps, totalSteps, checkpoint })
  output.text(
    `Stopped after step ${steps} of ${totalSteps}; saved to ${checkpoint}. ` +
      'The same command with --resume goes on from there.',
  )
  process.exitCode = INTERRUPTED
}

/** Trains; if a step is refused for its numbers, keeps the adapter as it was before it. */
async function trainOrKeep(
  loaded: LoadedModel,
  data: readonly Example[],
  evalData: readonly Example[] | undefined,
  args: FinetuneArguments,
  output: Output,
): Promise<FinetuneRun> {
  const { signal, release } = interruptible()
  let steps = 0
  try {
    return await train(loaded, data, evalData, args, output, signal, () => {
      steps++
    })
  } catch (error) {
    const numeric = error instanceof LowrankError && error.code === 'numeric'
    if (!numeric || steps === 0) {
      throw error
    }
    await saveAdapter(loaded.model, directory(args.out), { overwrite: args.overwrite })
    throw new LowrankError(
      'numeric',
      `${error.message}; the adapter as it was after step ${steps} is in ${args.out}`,
      { cause: error },
    )
  } finally {
    release()
  }
}

/** Runs `fn` and writes where its time went, if that is asked for. */
async function traced<T>(
  file: string | undefined,
  output: Output,
  fn: () => Promise<T>,
): Promise<T> {
  if (file === undefined) {
    return fn()
  }
  const stop = startTrace()
  try {
    return await fn()
  } finally {
    const trace = stop()
    await writeFile(file, trace.toChromeTrace())
    output.event('trace', { file, totals: trace.totals })
    output.text(`${trace}\nTrace:   ${file}`)
  }
}

function summary(model: CausalLM, plan: MemoryPlan): object {
  const count = (list: readonly { size: number }[]): number =>
    list.reduce((sum, { size }) => sum + size, 0)
  return {
    trainable: count(model.trainable()),
    total: count(model.parameters()),
    planned_bytes: plan.total,
  }
}

export async function runFinetune(args: FinetuneArguments, output: Output): Promise<void> {
  const target = directory(args.out)
  await target.checkWritable({ overwrite: args.overwrite })
  const report = args.report ?? reportPath(args.out)
  await checkWritableFile(report)
  if (args.trace !== undefined) {
    await checkWritableFile(args.trace)
  }
  const loaded = await openModel(args.model)
  const data = await readExamples(args.data)
  const evalData = await readOptional(args.evalData)
  const shown = (await readOptional(args.sampleData)) ?? evalData ?? data
  manualSeed(args.seed)
  const before = await samplesOf(loaded, shown, args.samples)
  attach(loaded.model, loraConfig(args))
  const plan = planned(loaded, data, args)
  output.event('plan', summary(loaded.model, plan))
  output.text(String(plan))
  const run = await traced(args.trace, output, () =>
    trainOrKeep(loaded, data, evalData, args, output),
  )
  if (run.interrupted) {
    await saveInterrupted(run, args, output)
    return
  }
  const peak = memory().peak
  await saveAdapter(loaded.model, target, {
    overwrite: args.overwrite,
    baseModelNameOrPath: args.model,
  })
  if (args.provenance) {
    await saveProvenance(loaded.model, target, { seed: args.seed })
  }
  const after = await samplesOf(loaded, shown, args.samples)
  const { writeReport } = await import('./report/index.ts')
  await writeReport(report, { args, run, plan, peak, before, after, model: loaded.model })
  await rm(checkpointPath(args.out), { recursive: true, force: true })
  const last = run.losses.at(-1)
  output.event('done', {
    adapter: args.out,
    report,
    steps: run.steps,
    best_step: run.bestStep,
    loss: last,
    seconds: run.seconds,
    peak_bytes: peak,
    ...summary(loaded.model, plan),
  })
  output.text(
    `Trained ${run.steps} steps in ${run.seconds.toFixed(1)} s, loss ${last?.toFixed(4)}.\n` +
      `Adapter: ${args.out}\nReport:  ${report}`,
  )
}
