// Ctrl-C saves and says where; --resume ends with the bytes of a run that was never stopped.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, it } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const cli = join(root, 'dist/cli/main.js')
const work = mkdtempSync(join(tmpdir(), 'lowrank-interrupt-'))
const settings = ['--epochs', '1', '--batch-size', '16', '--lora-dropout', '0.1', '--samples', '1']

function args(out: string, ...more: string[]): string[] {
  const model = join(root, 'examples/house/model')
  const data = join(root, 'examples/house/data/train.jsonl')
  const paths = ['--model', model, '--data', data, '--out', join(work, out)]
  return [cli, 'finetune', ...paths, ...settings, '--json', ...more]
}

/** Sends SIGINT after a number of steps; gives the exit code and the last event. */
async function interruptAfter(
  steps: number,
  child: ChildProcess,
): Promise<{ code: number | null; last: Record<string, unknown> }> {
  let last: Record<string, unknown> = {}
  const closed = new Promise<number | null>(resolve => child.once('close', resolve))
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
    last = JSON.parse(line)
    if (last.event === 'step' && last.step === steps) {
      child.kill('SIGINT')
    }
  }
  return { code: await closed, last }
}

afterAll(() => rmSync(work, { recursive: true, force: true }))

it('stops after the running step, saves, and goes on with --resume', async () => {
  execFileSync(process.execPath, args('whole'), { encoding: 'utf8', maxBuffer: 1 << 28 })
  const child = spawn(process.execPath, args('adapter'), { stdio: ['ignore', 'pipe', 'inherit'] })
  const { code, last } = await interruptAfter(5, child)
  expect(code).toBe(130)
  expect(last).toMatchObject({ event: 'interrupted', checkpoint: join(work, 'adapter.checkpoint') })
  expect(existsSync(join(work, 'adapter'))).toBe(false)
  execFileSync(process.execPath, args('adapter', '--resume'), { maxBuffer: 1 << 28 })
  const bytes = (out: string): Buffer => readFileSync(join(work, out, 'adapter_model.safetensors'))
  expect(bytes('adapter').equals(bytes('whole'))).toBe(true)
  expect(readdirSync(work).filter(name => name.includes('checkpoint'))).toEqual([])
})
