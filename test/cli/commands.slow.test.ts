// The commands on the bundled model, as a user types them.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const work = mkdtempSync(join(tmpdir(), 'lowrank-commands-'))
const model = join(root, 'examples/house/model')
const data = join(work, 'data.jsonl')
const adapter = join(work, 'adapter')

type Event = Record<string, unknown>

/** Runs a command and returns the events that it prints where no terminal is. */
function lowrank(...args: string[]): Event[] {
  const command = [join(root, 'dist/cli/main.js'), ...args]
  const printed = execFileSync(process.execPath, command, { encoding: 'utf8', maxBuffer: 1 << 28 })
  return printed
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))
}

beforeAll(() => {
  const lines = readFileSync(join(root, 'examples/house/data/train.jsonl'), 'utf8').split('\n')
  writeFileSync(data, lines.slice(0, 24).join('\n'))
  const rate = ['--lr', '1e-2', '--epochs', '10', '--target-modules', 'all-linear']
  const events = lowrank('finetune', '--model', model, '--data', data, '--out', adapter, ...rate)
  expect(events.at(-1)).toMatchObject({ event: 'done', adapter, steps: 30 })
})
afterAll(() => rmSync(work, { recursive: true, force: true }))

it('finetune writes the adapter and, beside it, the report', () => {
  expect(readdirSync(adapter).sort()).toEqual(['adapter_config.json', 'adapter_model.safetensors'])
  expect(readFileSync(`${adapter}.report.html`, 'utf8')).toContain('<svg')
})

it('eval prints the loss and the exact match by kind', () => {
  const heldOut = readFileSync(join(root, 'examples/house/data/base-held-out.jsonl'), 'utf8')
  writeFileSync(join(work, 'held.jsonl'), heldOut.split('\n').slice(0, 40).join('\n'))
  const [event] = lowrank('eval', '--model', model, '--data', join(work, 'held.jsonl'))
  expect(event).toMatchObject({ event: 'eval', examples: 40 })
  expect(event.exact_match).toBeGreaterThanOrEqual(0.9)
  expect(Object.keys(event.by_kind as object)).toContain('plain')
})

it('eval shows answers that are wrong, to programs as well', () => {
  const data = join(root, 'examples/house/data/held-out.jsonl')
  writeFileSync(
    join(work, 'new.jsonl'),
    readFileSync(data, 'utf8').split('\n').slice(0, 8).join('\n'),
  )
  const args = ['--model', model, '--data', join(work, 'new.jsonl'), '--show-errors', '2']
  const events = lowrank('eval', ...args)
  expect(events.map(({ event }) => event)).toEqual(['error', 'error', 'eval'])
  expect(events[0].want).not.toBe(events[0].got)
})

it('generate continues a prompt, the same with the merged model as with the adapter', () => {
  const [first] = readFileSync(data, 'utf8').split('\n')
  const prompt = ['--prompt', JSON.parse(first).prompt, '--max-new-tokens', '48']
  const [base] = lowrank('generate', '--model', model, ...prompt)
  const [adapted] = lowrank('generate', '--model', model, '--adapter', adapter, ...prompt)
  expect(adapted.text).toBe(JSON.parse(first).completion)
  expect(base.text).not.toBe(adapted.text)
  const merged = join(work, 'merged')
  lowrank('merge', '--model', model, '--adapter', adapter, '--out', merged)
  const [plain] = lowrank('generate', '--model', merged, ...prompt)
  expect(plain.text).toBe(adapted.text)
})

it('inspect describes a model, with a memory plan, and an adapter', () => {
  const [described] = lowrank('inspect', model)
  expect(described).toMatchObject({ event: 'model', model_type: 'llama', parameters: 836736 })
  expect((described.memory as Event).total).toBeGreaterThan(1e6)
  const [adapted] = lowrank('inspect', adapter)
  expect(adapted).toMatchObject({ event: 'adapter', r: 8 })
  expect(adapted.target_modules).toContain('gate_proj')
})

it('--help shows an example for every command', () => {
  for (const name of ['finetune', 'eval', 'generate', 'merge', 'inspect']) {
    const command = [join(root, 'dist/cli/main.js'), name, '--help']
    const help = execFileSync(process.execPath, command, { encoding: 'utf8' })
    expect(help).toContain(`lowrank ${name}`)
    expect(help).toContain('Example:')
  }
})
