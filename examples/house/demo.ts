// The main job, by the command line alone: fine-tunes the bundled base on a household it has never
// seen, scores it before and after beside two baselines, and writes a PEFT adapter and a report.
//
//   npm run demo             a live bar and a table
//   npm run demo -- --json   JSON lines; the last one holds every figure

import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { tensor } from 'lowrank'
import { load } from 'lowrank/lora'
import { loadModel } from 'lowrank/models/auto'
import { directory } from 'lowrank/node'
import { loadTokenizer } from 'lowrank/tokenizer'
import { describedPrompt, nearestAnswers, scoresByKind } from './baselines.ts'
import type { Example, HeldOut } from './grammar.ts'
import { NEW_TOOL } from './household-words.ts'

/** What the fine-tune is run with: see docs/guides/lora.md for how these were chosen. */
const SETTINGS = {
  r: 4,
  'lora-alpha': 16,
  'target-modules': 'all-linear',
  lr: 1e-2,
  epochs: 10,
  'batch-size': 16,
  schedule: 'cosine',
  seed: 1,
}

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    out: { type: 'string', default: 'out/house' },
  },
})

const root = fileURLToPath(new URL('../..', import.meta.url))
const here = relative(process.cwd(), fileURLToPath(new URL('.', import.meta.url)))
const cli = join(root, 'dist/cli/main.js')
const model = join(here, 'model')
const data = (name: string): string => join(here, 'data', name)
const out = values.out
const adapter = join(out, 'adapter')

type Event = Record<string, unknown> & { readonly event: string }

function lowrank(args: readonly string[], quiet: boolean): ChildProcess {
  const stdout = quiet ? 'pipe' : 'inherit'
  return spawn(process.execPath, [cli, ...args], { stdio: ['inherit', stdout, 'inherit'] })
}

/** Runs one command; with `quiet`, returns the events it printed. */
async function run(args: readonly string[], quiet = true): Promise<Event[]> {
  const child = lowrank(quiet ? [...args, '--json'] : args, quiet)
  const events: Event[] = []
  if (child.stdout) {
    for await (const line of createInterface({ input: child.stdout })) {
      events.push(JSON.parse(line))
      if (values.json) {
        console.log(line)
      }
    }
  }
  const code =
    child.exitCode ?? (await new Promise<number>(resolve => child.once('close', resolve)))
  if (code !== 0) {
    process.exit(code)
  }
  return events
}

interface Evaluation {
  readonly exact_match: number
  readonly by_kind: Readonly<Record<string, number>>
}

async function evaluate(file: string, args: readonly string[] = []): Promise<Evaluation> {
  const events = await run(['eval', '--model', model, '--data', file, ...args])
  return events.filter(({ event }) => event === 'eval')[0] as unknown as Evaluation
}

function readLines<T>(file: string): T[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line))
}

/** The held-out commands with the new tool's description in front, for the base alone. */
function describedData(heldOut: readonly HeldOut[]): string {
  const file = join(out, 'held-out-described.jsonl')
  const lines = heldOut.map(({ prompt, ...rest }) =>
    JSON.stringify({ ...rest, prompt: describedPrompt(NEW_TOOL, prompt) }),
  )
  writeFileSync(file, `${lines.join('\n')}\n`)
  return file
}

/** Whether the base gives the same bits with the adapter loaded and switched off. */
async function identicalWhenOff(prompts: readonly string[]): Promise<boolean> {
  const source = directory(model)
  const [plain, adapted] = [await loadModel(source), await loadModel(source)]
  await load(adapted, directory(adapter))
  const tokenizer = await loadTokenizer(source)
  return prompts.every(prompt => {
    const ids = tokenizer.encode(prompt)
    const input = tensor(ids, [1, ids.length], { dtype: 'int32' })
    const want = new Uint32Array(plain.forward(input).dataSync().buffer)
    const got = new Uint32Array(adapted.forward(input, { adapter: null }).dataSync().buffer)
    return want.every((bits, i) => bits === got[i])
  })
}

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`.padStart(8)

const heldOut = readLines<HeldOut>(data('held-out.jsonl'))
const training = readLines<Example>(data('train.jsonl'))
rmSync(out, { recursive: true, force: true })
mkdirSync(out, { recursive: true })

const before = await evaluate(data('held-out.jsonl'))
const described = await evaluate(describedData(heldOut))
const answers = nearestAnswers(
  training,
  heldOut.map(({ prompt }) => prompt),
)
const nearest = scoresByKind(heldOut, answers).overall.share
const settings = Object.entries(SETTINGS).flatMap(([name, value]) => [`--${name}`, String(value)])
const report = join(out, 'report.html')
const paths = ['--model', model, '--data', data('train.jsonl'), '--out', adapter]
const extra = ['--sample-data', data('held-out.jsonl'), '--samples', '9', '--report', report]
const started = performance.now()
const quiet = values.json || !process.stdout.isTTY
const events = await run(['finetune', ...paths, ...extra, ...settings], quiet)
const seconds = (performance.now() - started) / 1000
const done = events.filter(({ event }) => event === 'done')[0] ?? {}
const after = await evaluate(data('held-out.jsonl'), ['--adapter', adapter])
const baseOff = await evaluate(data('base-held-out.jsonl'))
const baseOn = await evaluate(data('base-held-out.jsonl'), ['--adapter', adapter])
const identical = await identicalWhenOff(heldOut.slice(0, 20).map(({ prompt }) => prompt))

const figures = {
  before: before.exact_match,
  after: after.exact_match,
  after_usual: after.by_kind.usual,
  after_unseen_phrasing: after.by_kind.unseen_phrasing,
  after_unseen_combination: after.by_kind.unseen_combination,
  baseline_prompt: described.exact_match,
  baseline_nearest: nearest,
  base_task_on: baseOn.exact_match,
  base_task_off: baseOff.exact_match,
  base_off_identical: identical,
  seconds,
  trainable: done.trainable,
  total: done.total,
  adapter_bytes: statSync(join(adapter, 'adapter_model.safetensors')).size,
  peak_bytes: done.peak_bytes,
  model,
  adapter,
  held_out: data('held-out.jsonl'),
}

if (values.json) {
  console.log(JSON.stringify(figures))
} else {
  const rows: [string, string][] = [
    ['base, before', percent(figures.before)],
    ["base, with the new tool's description", percent(figures.baseline_prompt)],
    ['answer of the nearest training example', percent(figures.baseline_nearest)],
    ['fine-tuned', percent(figures.after)],
    ['  usual', percent(figures.after_usual)],
    ['  unseen phrasing', percent(figures.after_unseen_phrasing)],
    ['  unseen combination', percent(figures.after_unseen_combination)],
    ["base's own task, adapter off", percent(figures.base_task_off)],
    ["base's own task, adapter on", percent(figures.base_task_on)],
  ]
  console.log(`\nExact match on ${heldOut.length} held-out commands`)
  for (const [name, value] of rows) {
    console.log(`  ${name.padEnd(40)}${value}`)
  }
  console.log(
    `\nLogits with the adapter off ${identical ? 'are those' : 'DIFFER from those'} of the base.\n` +
      `Adapter: ${adapter}\nReport:  ${report}`,
  )
}
