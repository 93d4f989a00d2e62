// Fine-tuning: epochs of shuffled batches, AdamW on what is trainable, evaluation, the best adapter
// kept. A run is a pure function of model, data, options and seed, and can be stopped and resumed
// anywhere without a bit changing.

import type { Backend } from '../core/backend.ts'
import { LowrankError } from '../core/errors.ts'
import type { Parameter } from '../core/parameter.ts'
import { withDraws } from '../core/random_state.ts'
import type { ByteSource } from '../io/source.ts'
import type { CausalLM } from '../models/causal_lm.ts'
import { mul } from '../ops/mul.ts'
import type { AdamOptions } from '../optim/adam.ts'
import { AdamW } from '../optim/adamw.ts'
import type { Schedule } from '../optim/schedule.ts'
import { Breather } from './abort.ts'
import { type Batch, collate, epochOrder } from './batches.ts'
import type { ResumableRun } from './checkpoint.ts'
import { type TokenizedExample, tokenizeExamples } from './data.ts'
import { evaluateLoss } from './evaluate.ts'
import { type FinetuneOptions, resolveTraining, SCHEDULES, type TrainingPlan } from './options.ts'
import { type FinetuneRun, type MadeStep, type Progress, restore, snapshotOf } from './progress.ts'
import { MovementCheck } from './still_layers.ts'
import { UnreadSteps } from './unread_steps.ts'

class Trainer {
  readonly #model: CausalLM
  readonly #options: FinetuneOptions
  readonly #training: TrainingPlan
  readonly #named: readonly (readonly [string, Parameter])[]
  readonly #parameters: readonly Parameter[]
  readonly #backend: Backend
  readonly #train: readonly TokenizedExample[]
  readonly #held: readonly TokenizedExample[]
  readonly #optimizer: AdamW
  readonly #unread: UnreadSteps<AdamOptions>
  readonly #schedule: Schedule
  readonly #stepsPerEpoch: number
  readonly #totalSteps: number
  readonly #warnings: string[] = []
  /** Steps of which the losses are still to be read. */
  #made: MadeStep[] = []
  #order: { readonly epoch: number; readonly groups: TokenizedExample[][] } | undefined
  #progress: Progress = {
    step: 0,
    losses: [],
    evals: [],
    best: undefined,
    tokens: 0,
    seconds: 0,
  }

  constructor(model: CausalLM, options: FinetuneOptions) {
    const training = resolveTraining(options)
    this.#model = model
    this.#options = options
    this.#training = training
    this.#named = [...model.namedParameters()].filter(([, { requiresGrad }]) => requiresGrad)
    this.#parameters = this.#named.map(([, parameter]) => parameter)
    if (this.#parameters.length === 0) {
      throw new LowrankError(
        'argument',
        'finetune: expected something to train, got a model with every parameter frozen ' +
          '(attach an adapter, or unfreeze)',
      )
    }
    this.#backend = this.#parameters[0].backend
    const limit = model.sizes.maxPositionEmbeddings
    const maxTokens = Math.min(options.maxTokens ?? limit, limit)
    const { tokenizer, data, evalData = [] } = options
    if (data.length === 0) {
      throw new LowrankError('data', 'finetune: data: expected at least one example, got none')
    }
    this.#train = tokenizeExamples(data, tokenizer, { maxTokens, where: 'finetune: data' })
    this.#held = tokenizeExamples(evalData, tokenizer, { maxTokens, where: 'finetune: evalData' })
    const { batchSize, gradientAccumulationSteps, epochs, lr, weightDecay } = training
    const batches = Math.ceil(this.#train.length / batchSize)
    this.#stepsPerEpoch = Math.ceil(batches / gradientAccumulationSteps)
    this.#totalSteps = this.#stepsPerEpoch * epochs
    this.#optimizer = new AdamW(this.#parameters, { lr, weightDecay })
    this.#unread = new UnreadSteps(this.#optimizer)
    this.#schedule = SCHEDULES[training.schedule]({
      numWarmupSteps: Math.ceil(training.warmupRatio * this.#totalSteps),
      numTrainingSteps: this.#totalSteps,
    })
  }

  async run(): Promise<FinetuneRun> {
    const { signal } = this.#options
    // Before the first step, because a page may be offline by the time it is stopped.
    const checkpoints = signal && (await import('./checkpoint.ts'))
    const breather = new Breather()
    const check = await MovementCheck.start(this.#model)
    try {
      while (this.#progress.step < this.#totalSteps && !signal?.aborted) {
        await this.#step(check)
        await breather.breathe()
      }
      const interrupted = this.#progress.step < this.#totalSteps
      await this.#readLosses()
      const state = interrupted
        ? await checkpoints?.stateOf(this.#resumable, this.#progress)
        : undefined
      const bestStep = interrupted ? this.#progress.step : this.#keepBest()
      return this.#report(interrupted, bestStep, async (directory, options) => {
        if (!state) {
          throw new LowrankError('argument', 'saveCheckpoint: the run is complete')
        }
        await checkpoints?.writeCheckpoint(directory, state, options)
      })
    } finally {
      this.#optimizer.dispose()
    }
  }

  async resume(source: ByteSource): Promise<void> {
    const { readCheckpoint } = await import('./checkpoint.ts')
    this.#progress = await readCheckpoint(source, this.#resumable)
  }

  get #resumable(): ResumableRun {
    return {
      named: this.#named,
      optimizer: this.#optimizer,
      training: this.#training,
      examples: this.#train.length,
    }
  }

  /** The batches of the step that comes next. */
  #batches(): Batch[] {
    const { batchSize, gradientAccumulationSteps: count, seed } = this.#training
    const epoch = Math.floor(this.#progress.step / this.#stepsPerEpoch)
    const within = this.#progress.step % this.#stepsPerEpoch
    if (this.#order?.epoch !== epoch) {
      this.#order = { epoch, groups: epochOrder(this.#train, batchSize, seed, epoch) }
    }
    const { groups } = this.#order
    const padTokenId = this.#options.tokenizer.padTokenId ?? 0
    return groups
      .slice(within * count, (within + 1) * count)
      .map(group => collate(group, { batchSize, padTokenId, backend: this.#backend }))
  }

  async #step(check: MovementCheck): Promise<void> {
    const start = performance.now()
    const { step } = this.#progress
    const batches = this.#batches()
    const learned = batches.reduce((sum, batch) => sum + batch.learned, 0)
    this.#optimizer.scaleLearningRate(this.#schedule(step))
    const { lr } = this.#optimizer.groups[0]
    const parts = batches.map((batch, part) => () => {
      const draws = { seed: this.#training.seed, stream: step * batches.length + part }
      const loss = withDraws(draws, () => this.#model.loss(batch.inputIds, batch.labels))
      return batches.length === 1 ? loss : mul(loss, batch.learned / learned)
    })
    const { maxGradNorm } = this.#training
    this.#unread.take(parts, { maxGradNorm })
    const progress = this.#progress
    progress.step++
    const tokens = batches.reduce((sum, batch) => sum + batch.tokens, 0)
    this.#made.push({ step: progress.step, lr, tokens })
    progress.seconds += (performance.now() - start) / 1000
    const reads = this.#isRead()
    if (reads) {
      await this.#readLosses()
    }
    const last = progress.step === this.#totalSteps
    this.#warn(await check.afterStep({ step: progress.step, lr, last, reads }))
    await this.#evaluate()
  }

  /** Whether the losses so far are wanted after the step that was just made. */
  #isRead(): boolean {
    const { step } = this.#progress
    const { loggingSteps = 1 } = this.#options
    return step % loggingSteps === 0 || step === this.#totalSteps || this.#isEvaluated()
  }

  /** Waits for the losses of the steps that were made since, and reports them. */
  async #readLosses(): Promise<void> {
    const start = performance.now()
    const made = this.#made
    this.#made = []
    const outcomes = await this.#unread.read()
    const progress = this.#progress
    progress.losses.push(...outcomes.map(({ loss }) => loss))
    progress.tokens += made.reduce((sum, { tokens }) => sum + tokens, 0)
    progress.seconds += (performance.now() - start) / 1000
    made.forEach(({ step, lr }, i) => {
      this.#options.onStep?.({
        ...outcomes[i],
        step,
        totalSteps: this.#totalSteps,
        epoch: step / this.#stepsPerEpoch,
        lr,
        tokensPerSecond: progress.tokens / progress.seconds,
      })
    })
  }

  #warn(warnings: readonly string[]): void {
    const { onWarning = console.warn } = this.#options
    this.#warnings.push(...warnings)
    warnings.forEach(warning => {
      onWarning(warning)
    })
  }

  #isEvaluated(): boolean {
    const { step } = this.#progress
    const every = this.#options.evalEvery ?? this.#stepsPerEpoch
    return this.#held.length > 0 && (step % every === 0 || step === this.#totalSteps)
  }

  async #evaluate(): Promise<void> {
    if (!this.#isEvaluated()) {
      return
    }
    const { step, best } = this.#progress
    const loss = await evaluateLoss(this.#model, this.#held)
    const better = best === undefined || loss < best.loss
    if (better) {
      this.#progress.best = { step, loss, snapshot: await snapshotOf(this.#parameters) }
    }
    const report = { step, loss, best: better }
    this.#progress.evals.push(report)
    this.#options.onEval?.(report)
  }

  /** Puts the best parameters back and returns the step they are from. */
  #keepBest(): number {
    const { best, step } = this.#progress
    if (best && best.step !== step) {
      restore(this.#parameters, best.snapshot)
    }
    return best?.step ?? step
  }

  #report(
    interrupted: boolean,
    bestStep: number,
    saveCheckpoint: FinetuneRun['saveCheckpoint'],
  ): FinetuneRun {
    const { step, losses, evals, tokens, seconds } = this.#progress
    return {
      steps: step,
      totalSteps: this.#totalSteps,
      losses,
      evals,
      bestStep,
      interrupted,
      warnings: this.#warnings,
      tokens,
      seconds,
      saveCheckpoint,
    }
  }
}

/**
 * Trains what is trainable in a model (after `attach`, the adapter) on examples. With `evalData` the
 * model ends with the parameters of the lowest evaluation loss. Throws `argument` and `data` errors
 * before the first step, and a `numeric` error if a loss or gradient is not finite: that step is not
 * applied and the model keeps its last good parameters. With `loggingSteps` this is seen, and thrown, when
 * losses are read, after steps that may have followed.
 *
 * @example
 * ```ts
 * import { attach } from 'lowrank'
 * import { loadModel } from 'lowrank/models/auto'
 * import { directory } from 'lowrank/node'
 * import { loadTokenizer } from 'lowrank/tokenizer'
 * import { finetune } from 'lowrank/train'
 *
 * const files = directory('examples/house/model')
 * const [model, tokenizer] = [await loadModel(files), await loadTokenizer(files)]
 * attach(model, { r: 2 })
 * const data = [{ prompt: 'Light the den', completion: '\n{"tool":"light","room":"den"}' }]
 * const run = await finetune(model, { tokenizer, data, epochs: 1 })
 * console.log(run.steps) // 1
 * ```
 */
export async function finetune(model: CausalLM, options: FinetuneOptions): Promise<FinetuneRun> {
  const trainer = new Trainer(model, options)
  if (options.resume) {
    await trainer.resume(options.resume)
  }
  return trainer.run()
}
