// The state of an interrupted run: what it trained, the optimizer's averages and counts, the best
// parameters so far, and where it was. Two files, written together or not at all; a run that resumes
// ends with the same bits as one that was never stopped.

import { LowrankError, throwAll } from '../core/errors.ts'
import type { Parameter } from '../core/parameter.ts'
import { formatShape, type Shape, sameShape } from '../core/shape.ts'
import type { TensorData } from '../core/tensor.ts'
import { bytesOf, floatsIn, type StoredDType } from '../io/dtypes.ts'
import { openSafetensors, type TensorFiles } from '../io/safetensors.ts'
import { encodeSafetensors } from '../io/safetensors-writer.ts'
import {
  type ByteSource,
  type Directory,
  locate,
  readJson,
  type WriteOptions,
} from '../io/source.ts'
import type { AdamW } from '../optim/adamw.ts'
import { loadStateDict, type OptimizerState, type StateTensor, stateDict } from '../optim/state.ts'
import type { EvalReport, TrainingPlan } from './options.ts'
import { type Progress, restore, type Snapshot, snapshotOf } from './progress.ts'

const STATE_FILE = 'training_state.json'
const TENSORS_FILE = 'training_state.safetensors'
const VERSION = 1

export interface TrainingState {
  readonly step: number
  readonly losses: readonly number[]
  readonly evals: readonly EvalReport[]
  readonly best: { step: number; loss: number; snapshot: Snapshot } | undefined
  readonly tokens: number
  readonly seconds: number
  /** The options that decide what the steps do; a run resumes only with the same ones. */
  readonly training: TrainingPlan
  readonly examples: number
  /** Paths of the trained parameters, in order. */
  readonly names: readonly string[]
  readonly parameters: Snapshot
  readonly optimizer: OptimizerState
}

type Named = readonly (readonly [string, Parameter])[]

/** What of a run goes into a checkpoint besides its progress. */
export interface ResumableRun {
  /** The trained parameters by their paths, in order. */
  readonly named: Named
  readonly optimizer: AdamW
  readonly training: TrainingPlan
  /** How many examples it trains on. */
  readonly examples: number
}

/** The state of a run as it is now. */
export async function stateOf(run: ResumableRun, progress: Progress): Promise<TrainingState> {
  return {
    ...progress,
    training: run.training,
    examples: run.examples,
    names: run.named.map(([name]) => name),
    parameters: await snapshotOf(run.named.map(([, parameter]) => parameter)),
    optimizer: await stateDict(run.optimizer),
  }
}

interface Entry {
  readonly dtype: StoredDType
  readonly shape: Shape
  readonly bytes: Uint8Array
}

function entryOf(data: ArrayLike<number>, shape: Shape): Entry {
  const wide = data instanceof Float64Array
  const values = wide ? data : Float32Array.from(data)
  return { dtype: wide ? 'F64' : 'F32', shape, bytes: bytesOf(values) }
}

/** Writes a checkpoint: both files, or nothing. */
export async function writeCheckpoint(
  directory: Directory,
  state: TrainingState,
  options: WriteOptions = {},
): Promise<void> {
  const entries = new Map<string, Entry>()
  const shapes = state.optimizer.parameters.map(({ shape }) => shape)
  state.names.forEach((name, i) => {
    entries.set(`parameter.${name}`, entryOf(state.parameters[i], shapes[i]))
    if (state.best) {
      entries.set(`best.${name}`, entryOf(state.best.snapshot[i], shapes[i]))
    }
  })
  for (const [name, { shape, data }] of Object.entries(state.optimizer.tensors)) {
    entries.set(`optimizer.${name}`, entryOf(data, shape))
  }
  const { tensors: _, ...optimizer } = state.optimizer
  const json = {
    version: VERSION,
    step: state.step,
    losses: state.losses,
    evals: state.evals,
    best: state.best && { step: state.best.step, loss: state.best.loss },
    tokens: state.tokens,
    seconds: state.seconds,
    training: state.training,
    examples: state.examples,
    names: state.names,
    optimizer,
  }
  await directory.writeAll(
    new Map<string, string | Uint8Array>([
      [STATE_FILE, `${JSON.stringify(json, null, 2)}\n`],
      [TENSORS_FILE, encodeSafetensors(entries)],
    ]),
    options,
  )
}

function mismatches(
  json: Record<string, unknown>,
  { named, training, examples }: ResumableRun,
): string[] {
  const problems: string[] = []
  if (json.version !== VERSION) {
    problems.push(`version: expected ${VERSION}, got ${JSON.stringify(json.version)}`)
    return problems
  }
  const saved = json.training as Record<string, unknown>
  for (const [name, value] of Object.entries(training)) {
    if (saved?.[name] !== value) {
      problems.push(`${name} was ${String(saved?.[name])} and is now ${String(value)}`)
    }
  }
  if (json.examples !== examples) {
    problems.push(`the data had ${String(json.examples)} examples and has now ${examples}`)
  }
  const before = (json.names as string[]).join(', ')
  const now = named.map(([name]) => name).join(', ')
  if (before !== now) {
    problems.push(`trained parameters were ${before} and are now ${now}`)
  }
  return problems
}

async function readTensor(files: TensorFiles, name: string, shape?: Shape): Promise<StateTensor> {
  const stored = files.tensors.get(name)
  if (!stored) {
    throw new LowrankError('file', `${files.label}: missing "${name}"`)
  }
  if (shape && !sameShape(stored.shape, shape)) {
    throw new LowrankError(
      'file',
      `${files.label}: "${name}" is ${formatShape(stored.shape)}, expected ${formatShape(shape)}`,
    )
  }
  if (stored.dtype !== 'F32' && stored.dtype !== 'F64') {
    const got = `expected F32 or F64, got ${stored.dtype}`
    throw new LowrankError('file', `${files.label}: "${name}": ${got}`)
  }
  return { shape: stored.shape, data: floatsIn(await files.read(name), stored.dtype) }
}

async function readSnapshot(files: TensorFiles, prefix: string, named: Named): Promise<Snapshot> {
  const read = named.map(([name, { shape }]) => readTensor(files, `${prefix}.${name}`, shape))
  return (await Promise.all(read)).map(({ data }) => data as TensorData)
}

async function readOptimizer(
  files: TensorFiles,
  json: Omit<OptimizerState, 'tensors'>,
): Promise<OptimizerState> {
  const tensors: Record<string, StateTensor> = {}
  for (const name of files.tensors.keys()) {
    if (name.startsWith('optimizer.')) {
      tensors[name.slice('optimizer.'.length)] = await readTensor(files, name)
    }
  }
  return { ...json, tensors }
}

/**
 * Puts a run where the checkpoint was, and returns its progress there. Throws `file` errors, and a `config`
 * error that lists everything that is not as it was.
 */
export async function readCheckpoint(source: ByteSource, run: ResumableRun): Promise<Progress> {
  const where = locate(source, STATE_FILE)
  const json = (await readJson(source, STATE_FILE)) as Record<string, unknown>
  throwAll('config', `resume: ${where}`, mismatches(json, run))
  const saved = json as unknown as TrainingState
  const files = await openSafetensors(source, TENSORS_FILE)
  const { named } = run
  const best = saved.best && {
    ...saved.best,
    snapshot: await readSnapshot(files, 'best', named),
  }
  const parameters = await readSnapshot(files, 'parameter', named)
  loadStateDict(run.optimizer, await readOptimizer(files, saved.optimizer))
  restore(
    named.map(([, parameter]) => parameter),
    parameters,
  )
  const { step, losses, evals, tokens, seconds } = saved
  return { step, losses: [...losses], evals: [...evals], best, tokens, seconds }
}
