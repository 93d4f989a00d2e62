// A program that answers every conformance case from what is stored of it, as the table of
// conformance/README.md says to, by code of its own:
//
//   lowrank verify conformance --command "node test/cli/foreign/oracle.mjs conformance"
//
// Whatever it fails, no program can pass.

import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { corrected } from './oracle_gguf.mjs'

const readJson = path => JSON.parse(readFileSync(path, 'utf8'))

/** name -> dtype, shape and bytes; of no file, nothing. */
function readTensors(path) {
  if (!existsSync(path)) {
    return {}
  }
  const bytes = readFileSync(path)
  const start = 8 + Number(bytes.readBigUInt64LE(0))
  const { __metadata__: _, ...header } = JSON.parse(bytes.toString('utf8', 8, start))
  const entries = Object.entries(header).map(
    ([
      name,
      {
        dtype,
        shape,
        data_offsets: [a, b],
      },
    ]) => {
      return [name, { dtype, shape, bytes: bytes.subarray(start + a, start + b) }]
    },
  )
  return Object.fromEntries(entries)
}

function writeTensors(path, tensors) {
  const header = {}
  let at = 0
  for (const [name, { dtype, shape, bytes }] of Object.entries(tensors)) {
    header[name] = { dtype, shape, data_offsets: [at, at + bytes.length] }
    at += bytes.length
  }
  const text = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.length))
  writeFileSync(path, Buffer.concat([length, text, ...Object.values(tensors).map(t => t.bytes)]))
}

/** The line of a list that the question is about. */
function lineOf(root, { name, adapter, file, model, outtype }) {
  const list = join(root, `${name.split('/').slice(0, 2).join('/')}.jsonl`)
  const rows = readFileSync(list, 'utf8').trim().split('\n').map(JSON.parse)
  return rows.find(
    row =>
      row.adapter === adapter &&
      row.file === file &&
      row.model === model &&
      row.outtype === outtype,
  )
}

/** The JSON and the tensors of the case, answers included. */
function storedCase(root, question) {
  const at = join(root, question.name)
  if (existsSync(`${at}.json`)) {
    return { json: readJson(`${at}.json`), tensors: readTensors(`${at}.safetensors`) }
  }
  if (existsSync(join(at, 'case.json'))) {
    const tensors = readTensors(join(at, 'data.safetensors'))
    const prefixed = (prefix, file) =>
      Object.entries(readTensors(join(at, file))).map(([name, t]) => [`${prefix}.${name}`, t])
    Object.assign(
      tensors,
      Object.fromEntries(prefixed('trained', 'trained/adapter_model.safetensors')),
    )
    Object.assign(tensors, Object.fromEntries(prefixed('merged', 'merged/model.safetensors')))
    return { json: readJson(join(at, 'case.json')), tensors }
  }
  return { json: lineOf(root, question), tensors: {} }
}

const pick = (json, ...keys) => Object.fromEntries(keys.map(key => [key, json[key]]))

/** Calls that PEFT takes and loses something in are refused; an SVD's rank may exceed a layer's sizes. */
function callOutcome({ call, of, adapters, combination_type: type, ...row }) {
  const { weights, density, svd_rank, majority_sign_method: method = 'total' } = row
  const dubious =
    /name.*taken/.test(call) ||
    weights.length !== of.length ||
    density > 1 ||
    (density === 0 && type.startsWith('dare')) ||
    svd_rank <= 0 ||
    !['total', 'frequency'].includes(method)
  const ranks = of.map(name => adapters[name]?.r ?? 0)
  const exceeds = /svd$/.test(type) && !svd_rank && ranks.length > 1 && Math.max(...ranks) > 5
  if (dubious || (row.outcome === 'raises' && !exceeds)) {
    return { outcome: 'raises' }
  }
  return { outcome: 'accepted', ...pick(row, 'r', 'lora_alpha', 'target_modules') }
}

/** Starts that PEFT makes as by default though another was named, or of too high a rank, are refused. */
function startOutcome(row) {
  const { init, kind, r, din, dout, rows, dim, cin, cout, kernel } = row
  const sizes = { embedding: [rows, dim], conv2d: [cout, cin * kernel?.[0] * kernel?.[1]] }
  const asDefault =
    typeof init === 'string' && row.all_zero?.length > 0 && !/^(gaussian|mica)$/.test(init)
  const exceeds = r > Math.min(...(sizes[kind] ?? [din, dout]))
  return { outcome: row.outcome === 'raises' || asDefault || exceeds ? 'raises' : 'accepted' }
}

/** Where PEFT's logits are drawn at random the adapter is refused; NaN has no number in JSON. */
function adapterOutcome({ outcome, logits }) {
  const lost = logits === 'not finite'
  const accepted = outcome === 'accepts' && (lost || Array.isArray(logits))
  return accepted ? { outcome, logits: lost ? ['NaN'] : logits } : { outcome: 'raises' }
}

const start = json => pick(json, 'scaling', 'requires_grad')

/** family/kind -> answer.json of the stored case. */
const ANSWERS = {
  'optim/trajectory': json => pick(json, 'lrs'),
  'optim/schedules': ({ rows }) => ({ lrs: rows.map(({ lrs }) => lrs) }),
  'optim/loraplus': json => pick(json, 'groups'),
  'ops/rope_tables': ({ tables }) =>
    Object.fromEntries(Object.entries(tables).map(([key, t]) => [key, t.attention_scaling])),
  'generate/processors': json => pick(json, 'kept'),
  'models/model': json => pick(json, 'loss', 'losses'),
  'init/linear': start,
  'init/conv1d': start,
  'init/conv2d': start,
  'init/embedding': start,
  'init/eva': json => pick(json, 'ranks', 'scaling'),
  'init/conversion': ({ saved_config: config }) => ({ config }),
  'init/refused': ({ rows }) => ({ rows: rows.map(startOutcome) }),
  'merge/merge': ({ result }) =>
    pick(result, 'r', 'lora_alpha', 'use_rslora', 'target_modules', 'scaling'),
  'merge/calls': ({ rows }) => ({ rows: rows.map(callOutcome) }),
  'export/attempts': json => pick(json, 'outcome'),
  'hostile/adapters': adapterOutcome,
  'hostile/safetensors': json => pick(json, 'outcome', 'tensors', 'metadata'),
}

function copyFiles(root, at, { name, family, kind }, json) {
  if (existsSync(join(root, name, 'expected'))) {
    cpSync(join(root, name, 'expected'), join(at, 'answer'), { recursive: true })
  }
  if (`${family}/${kind}` === 'export/gguf_lora') {
    const file = readFileSync(join(root, name.split('/')[0], json.file))
    writeFileSync(join(at, 'answer.gguf'), corrected(file, json))
  }
}

/** Answers the question in the directory `at` with what is stored below `root`. */
export function oracle(root, at) {
  const question = readJson(join(at, 'case.json'))
  const { json, tensors } = storedCase(root, question)
  const { outputs, family, kind } = question
  if (outputs.length > 0) {
    // Of starts at random the product is stored under the name that it has beside PEFT's A and B.
    const of = name => tensors[name] ?? tensors[name.replace('exact.delta', 'delta_weight')]
    const answers = Object.fromEntries(outputs.map(name => [name, of(name)]))
    writeTensors(join(at, 'outputs.safetensors'), answers)
  }
  const answer = ANSWERS[`${family}/${kind}`]?.(json)
  if (answer) {
    writeFileSync(join(at, 'answer.json'), JSON.stringify(answer))
  }
  copyFiles(root, at, question, json)
}

/** Gives back what it is given: the inputs as outputs, the question as answer, the files. */
export function echo(at) {
  cpSync(join(at, 'inputs.safetensors'), join(at, 'outputs.safetensors'))
  cpSync(join(at, 'case.json'), join(at, 'answer.json'))
  for (const name of ['adapter', 'base']) {
    if (existsSync(join(at, name))) {
      cpSync(join(at, name), join(at, 'answer'), { recursive: true })
    }
  }
  const files = readdirSync(at, { recursive: true })
  const weights = files.find(name => name.endsWith('adapter_model.safetensors'))
  if (weights) {
    cpSync(join(at, weights), join(at, 'answer.gguf'))
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  oracle(process.argv[2], process.argv[3])
}
