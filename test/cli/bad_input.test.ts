// Bad input is one line on standard error, a non-zero exit code, no stack, and nothing written. Each
// case runs the command line as a program.

import { execFile } from 'node:child_process'
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { memoryDirectory } from 'lowrank/io'
import { LlamaForCausalLM, readLlamaConfig, saveModel } from 'lowrank/models'
import { directory } from 'lowrank/node'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bundleCli } from '../support/bundle_cli.ts'
import { TINY } from '../support/models.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const at = (path: string): string => join(root, path)
const work = mkdtempSync(join(tmpdir(), 'lowrank-cli-'))
const cli = join(work, 'cli/main.mjs')
const model = join(work, 'model')
const data = join(work, 'train.jsonl')

interface Result {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

function lowrank(...args: string[]): Promise<Result> {
  return new Promise(resolve => {
    execFile(process.execPath, [cli, ...args], { cwd: work }, (error, stdout, stderr) => {
      const code = error ? Number((error as { code?: unknown }).code ?? 1) : 0
      resolve({ code, stdout, stderr })
    })
  })
}

const finetune = (...args: string[]): Promise<Result> =>
  lowrank(
    'finetune',
    '--model',
    model,
    '--data',
    data,
    '--out',
    'adapter',
    '--epochs',
    '1',
    ...args,
  )

/** Everything below the working directory but what the tests put there. */
function written(): string[] {
  const own = /^(cli|model|broken|other|train\.jsonl|bad\.jsonl|long\.jsonl)/
  return readdirSync(work, { recursive: true, encoding: 'utf8' }).filter(name => !own.test(name))
}

function expectRefusal({ code, stderr, stdout }: Result, ...parts: string[]): void {
  expect(code, stdout).not.toBe(0)
  for (const part of parts) {
    expect(stderr).toContain(part)
  }
  expect(stderr.trim().split('\n').length, stderr).toBe(1)
  expect(stderr).not.toMatch(/\n\s+at /)
  expect(written()).toEqual([])
}

async function writeModel(): Promise<void> {
  const json = { ...TINY, vocab_size: 900 }
  const tiny = new LlamaForCausalLM(readLlamaConfig('test', json)).freeze()
  const source = memoryDirectory({ 'config.json': JSON.stringify(json) })
  await saveModel(tiny, directory(model), { source, dtype: 'bfloat16' })
  for (const name of ['tokenizer.json', 'tokenizer_config.json']) {
    cpSync(at(`examples/house/model/${name}`), join(model, name))
  }
}

function variant(change: (folder: string) => void): string {
  const folder = join(work, 'broken')
  rmSync(folder, { recursive: true, force: true })
  cpSync(model, folder, { recursive: true })
  change(folder)
  return folder
}

function editJson(file: string, change: Record<string, unknown>): void {
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), ...change }))
}

beforeAll(async () => {
  await bundleCli(join(work, 'cli'))
  await writeModel()
  const line = JSON.stringify({ prompt: 'Dim the lamp', completion: '\n{"level":3}' })
  writeFileSync(data, `${line}\n`.repeat(8))
})
afterAll(() => rmSync(work, { recursive: true, force: true }))

describe('a model that cannot be used', () => {
  const inspect = (folder: string): Promise<Result> =>
    lowrank('finetune', '--model', folder, '--data', data, '--out', 'adapter')

  it('is not there', async () => {
    expectRefusal(await inspect(join(work, 'nowhere')), 'nowhere: expected a directory')
  })

  it('has a damaged config.json', async () => {
    const folder = variant(f => writeFileSync(join(f, 'config.json'), '{"model_type": '))
    expectRefusal(await inspect(folder), 'config.json', 'line 1')
  })

  it('has no weights', async () => {
    expectRefusal(
      await inspect(variant(f => rmSync(join(f, 'model.safetensors')))),
      'model.safetensors',
    )
  })

  it('has weights that were cut off', async () => {
    const folder = variant(f => {
      const file = join(f, 'model.safetensors')
      writeFileSync(file, readFileSync(file).subarray(0, 5000))
    })
    expectRefusal(await inspect(folder), 'model.safetensors')
  })

  it('has weights of other sizes than config.json says', async () => {
    const folder = variant(f => editJson(join(f, 'config.json'), { intermediate_size: 20 }))
    expectRefusal(
      await inspect(folder),
      'gate_proj.weight" is [24, 16], config.json makes it [20, 16]',
    )
  })

  it('is of an architecture that is not known', async () => {
    const folder = variant(f => editJson(join(f, 'config.json'), { model_type: 'zamba' }))
    expectRefusal(await inspect(folder), 'model_type "zamba" is not known (known: llama')
  })

  it('has no tokenizer', async () => {
    expectRefusal(await inspect(variant(f => rmSync(join(f, 'tokenizer.json')))), 'tokenizer.json')
  })
})

describe('data that cannot be used', () => {
  const withLines = (...lines: string[]): Promise<Result> => {
    const file = join(work, 'bad.jsonl')
    writeFileSync(file, lines.join('\n'))
    return lowrank('finetune', '--model', model, '--data', file, '--out', 'adapter')
  }
  const good = '{"text": "dim the lamp"}'

  it('has bad lines, which are named; the others are counted', async () => {
    const result = await withLines(good, '{"text": ', good, '{"prompt": "x"}', '[]', good)
    expectRefusal(result, '3 good lines, 3 bad', 'line 2:', 'line 4: expected non-empty', 'line 5:')
  })

  it('is empty', async () => {
    expectRefusal(await withLines(''), 'expected at least one example')
  })

  it('is not there', async () => {
    const args = ['--model', model, '--data', 'gone.jsonl', '--out', 'adapter']
    expectRefusal(await lowrank('finetune', ...args), 'gone.jsonl')
  })

  it('has sequences longer than the model takes', async () => {
    const result = await withLines(good, JSON.stringify({ text: 'dim the lamp '.repeat(40) }))
    expectRefusal(result, 'example 2 has', 'the model takes 32')
  })
})

describe('options that cannot be used', () => {
  it('name a target that matches nothing', async () => {
    const result = await finetune('--target-modules', 'q_prj,v_proj')
    expectRefusal(
      result,
      'target "q_prj" matches none of 15 linear layers',
      'did you mean "q_proj"',
    )
  })

  it('ask for a rank larger than the layer', async () => {
    expectRefusal(await finetune('--r', '64'), 'too small for rank 64')
  })

  it('ask for more memory than there is', async () => {
    expectRefusal(await finetune('--max-memory', '64k'), 'a step of 8 ×', 'needs', 'are available')
  })

  it('name a place for the report where no file can be', async () => {
    expectRefusal(await finetune('--report', model), 'expected the name of a file')
    expectRefusal(await finetune('--report', join(data, 'report.html')), 'cannot be written')
  })

  it('are out of range', async () => {
    expectRefusal(await finetune('--lr=-1'), 'lr: expected a number above 0')
  })

  it('resume a run that was never stopped', async () => {
    expectRefusal(await finetune('--resume'), 'adapter.checkpoint: expected a directory')
  })

  it('write to a directory that exists', async () => {
    mkdirSync(join(work, 'other'), { recursive: true })
    writeFileSync(join(work, 'other/notes.txt'), 'mine')
    const args = ['--model', model, '--data', data, '--out', 'other']
    expectRefusal(await lowrank('finetune', ...args), 'notes.txt', 'overwrite')
    expect(readdirSync(join(work, 'other'))).toEqual(['notes.txt'])
  })
})

describe('numbers that run away', () => {
  it('stop training, keep the last good adapter, and say the step and the likely cause', async () => {
    const result = await finetune(
      '--lr',
      '1e38',
      '--max-grad-norm',
      '1e38',
      '--epochs',
      '6',
      '--warmup-ratio',
      '0',
      '--lora-alpha',
      '1e4',
    )
    expect(result.code).not.toBe(0)
    expect(result.stderr).toMatch(/step \d+: expected a finite/)
    expect(result.stderr).toContain('learning rate')
    expect(result.stderr).toMatch(/the adapter as it was after step \d+ is in adapter/)
    expect(result.stderr.trim().split('\n').length).toBe(1)
    expect(written().sort()).toEqual([
      'adapter',
      'adapter/adapter_config.json',
      'adapter/adapter_model.safetensors',
    ])
    rmSync(join(work, 'adapter'), { recursive: true })
  })

  it('in the weights are found at the first step, and nothing is written', async () => {
    const folder = variant(f => {
      const file = join(f, 'model.safetensors')
      const bytes = readFileSync(file)
      bytes.fill(0xff, bytes.length - 64)
      writeFileSync(file, bytes)
    })
    const args = ['--model', folder, '--data', data, '--out', 'adapter', '--samples', '0']
    expectRefusal(await lowrank('finetune', ...args), 'step 1', 'weights')
  })
})

describe('--debug', () => {
  it('prints the stack', async () => {
    const { stderr } = await finetune('--r', '64', '--debug')
    expect(stderr).toMatch(/\n\s+at /)
  })
})
