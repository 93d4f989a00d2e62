// The settings of a run: as a table, as the command that repeats it, and how to use the adapter.

import type { FinetuneArguments } from '../finetune_arguments.ts'
import { bytes } from './numbers.ts'

type Name = keyof FinetuneArguments

/** What a setting is when it was not given. */
const ABSENT: Readonly<Partial<Record<Name, string>>> = {
  evalData: 'none',
  targetModules: 'the default of the model type',
  maxTokens: 'the limit of the model',
  evalEvery: 'each epoch',
  maxMemory: 'what the machine has',
}

const LABELS: readonly (readonly [Name, string])[] = [
  ['model', 'Model'],
  ['data', 'Training data'],
  ['evalData', 'Held-out data'],
  ['out', 'Adapter'],
  ['r', 'Rank r'],
  ['loraAlpha', 'Alpha'],
  ['useRslora', 'Scale by α / √r'],
  ['loraDropout', 'Dropout'],
  ['targetModules', 'Target modules'],
  ['lr', 'Peak learning rate'],
  ['schedule', 'Schedule'],
  ['warmupRatio', 'Warm-up ratio'],
  ['epochs', 'Epochs'],
  ['batchSize', 'Batch size'],
  ['gradientAccumulationSteps', 'Gradient accumulation'],
  ['weightDecay', 'Weight decay'],
  ['maxGradNorm', 'Gradient clipping'],
  ['maxTokens', 'Longest sequence'],
  ['evalEvery', 'Evaluate every'],
  ['maxMemory', 'Memory limit'],
  ['seed', 'Seed'],
]

function shown(args: FinetuneArguments, name: Name): string {
  const value = args[name]
  if (value === undefined) {
    return ABSENT[name] ?? 'none'
  }
  if (typeof value === 'boolean') {
    return value ? 'yes' : 'no'
  }
  return name === 'maxMemory' ? bytes(value as number) : String(value)
}

export function settingRows(args: FinetuneArguments): (readonly [label: string, value: string])[] {
  return LABELS.map(([name, label]) => [label, shown(args, name)])
}

/** A word for a POSIX shell. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, letter => `-${letter.toLowerCase()}`)
}

/** The command that repeats the run, every setting written out. */
export function commandLine(args: FinetuneArguments): string {
  const words = LABELS.flatMap(([name]) => {
    const value = args[name]
    if (value === undefined || value === false) {
      return []
    }
    const option = `--${kebab(name)}`
    return [value === true ? option : `${option} ${shellWord(String(value))}`]
  })
  return ['lowrank finetune', ...words].join(' \\\n  ')
}

/** Programs that load the adapter; JSON's strings are strings in Python and JavaScript, too. */
export function snippets({ model, out }: FinetuneArguments): (readonly [string, string])[] {
  const [base, adapter] = [model, out].map(path => JSON.stringify(path))
  const peft = `from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(${base})
model = AutoModelForCausalLM.from_pretrained(${base})
model = PeftModel.from_pretrained(model, ${adapter})`
  const javascript = `import { load } from 'lowrank/lora'
import { loadModel } from 'lowrank/models/auto'
import { directory } from 'lowrank/node'

const model = await loadModel(directory(${base}))
await load(model, directory(${adapter}))`
  const shell =
    `lowrank generate --model ${shellWord(model)} --adapter ${shellWord(out)} --prompt "…"\n` +
    `lowrank merge --model ${shellWord(model)} --adapter ${shellWord(out)} --out merged/`
  return [
    ['In Python, with PEFT', peft],
    ['In JavaScript', javascript],
    ['On the command line', shell],
  ]
}
