// `lowrank inspect`: what is in a model or adapter directory, and what training it would need.

import { openSafetensors, openTensors, readJson, type TensorFiles } from '../io/index.ts'
import { attach } from '../lora/index.ts'
import { loadModel } from '../models/auto.ts'
import { directory } from '../node/index.ts'
import { planMemory } from '../train/index.ts'
import type { Output } from './output.ts'

export interface InspectArguments {
  readonly directory: string
  readonly batchSize: number
  readonly tokens: number
  readonly r: number
}

interface TensorRow {
  readonly name: string
  readonly dtype: string
  readonly shape: readonly number[]
}

function rowsOf(files: TensorFiles): TensorRow[] {
  return [...files.tensors.values()].map(({ name, dtype, shape }) => ({ name, dtype, shape }))
}

const sizeOf = (shape: readonly number[]): number => shape.reduce((n, size) => n * size, 1)

function printTensors(rows: readonly TensorRow[], output: Output): void {
  const width = Math.max(...rows.map(({ name }) => name.length))
  for (const { name, dtype, shape } of rows) {
    output.text(`  ${name.padEnd(width)}  ${dtype.padEnd(4)}  [${shape.join(', ')}]`)
  }
}

async function inspectAdapter(path: string, output: Output): Promise<void> {
  const source = directory(path)
  const config = (await readJson(source, 'adapter_config.json')) as Record<string, unknown>
  const rows = rowsOf(await openSafetensors(source, 'adapter_model.safetensors'))
  const parameters = rows.reduce((sum, { shape }) => sum + sizeOf(shape), 0)
  const { r, lora_alpha, target_modules, base_model_name_or_path } = config
  const facts = { r, lora_alpha, target_modules, base_model_name_or_path, parameters }
  output.event('adapter', { ...facts, tensors: rows })
  for (const [name, value] of Object.entries(facts)) {
    output.text(`${name}: ${JSON.stringify(value)}`)
  }
  printTensors(rows, output)
}

async function inspectModel(args: InspectArguments, output: Output): Promise<void> {
  const source = directory(args.directory)
  const model = await loadModel(source)
  const rows = rowsOf(await openTensors(source))
  const { sizes, modelType } = model
  const parameters = model.parameters().reduce((sum, { size }) => sum + size, 0)
  attach(model, { r: args.r })
  const tokens = Math.min(args.tokens, sizes.maxPositionEmbeddings)
  const plan = planMemory(model, { batch: args.batchSize, tokens })
  output.event('model', { model_type: modelType, parameters, sizes, memory: plan, tensors: rows })
  output.text(`${modelType}, ${parameters} parameters`)
  for (const [name, value] of Object.entries(sizes)) {
    output.text(`  ${name}: ${JSON.stringify(value)}`)
  }
  printTensors(rows, output)
  output.text(`\nMemory to train LoRA with r = ${args.r} on the default targets:\n${plan}`)
}

export async function runInspect(args: InspectArguments, output: Output): Promise<void> {
  const isAdapter = await directory(args.directory).has('adapter_config.json')
  await (isAdapter ? inspectAdapter(args.directory, output) : inspectModel(args, output))
}
