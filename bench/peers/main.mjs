// What people would use instead, measured beside this library: the workloads of workloads.mjs on every
// engine that is there, each in a process of its own.
//   npm run bench:peers -- [--json FILE] [--quick] [--ours] [--only REGEX] [--write]
// (without a Python that has torch, its columns are empty and this library is what peers are compared with)
// --quick takes 3 samples instead of 9; --ours leaves the peers out; --only chooses workloads by name;
// --write renews bench/RESULTS.md and bench/results.svg; --from FILE takes the results of an earlier --json.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { arch, cpus, platform } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { measureExtras } from './extras.mjs'
import { measure } from './measure.mjs'
import { pythonHas } from './process.mjs'
import { printGoals, printWorkload, writeResults } from './report.mjs'
import { WORKLOADS } from './workloads.mjs'

const { values: options } = parseArgs({
  options: {
    json: { type: 'string' },
    quick: { type: 'boolean', default: false },
    ours: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    write: { type: 'boolean', default: false },
    from: { type: 'string' },
  },
})

const here = fileURLToPath(new URL('.', import.meta.url))
if (!options.ours && !options.from && !existsSync(`${here}/node_modules`)) {
  execFileSync('npm', ['ci', '--prefix', here], { stdio: 'inherit' })
}

const torch = options.ours || !pythonHas('torch') ? [] : ['torch']
const peft = torch.length > 0 && pythonHas('peft') ? ['torch:peft'] : []

function ownEngines({ kind, sizes }) {
  if (kind !== 'product') {
    return ['lowrank']
  }
  const square = sizes.M === sizes.N && sizes.N === sizes.K
  const bf16 = sizes.K === sizes.N ? ['lowrank:bf16'] : []
  return ['lowrank', ...bf16, ...(square ? ['lowrank:nn', 'lowrank:nt', 'lowrank:tn'] : [])]
}

function peersOf({ kind }) {
  if (options.ours) {
    return []
  }
  const both = ['tfjs:written', 'tfjs:tuned', 'jax:written']
  if (kind === 'product') {
    return [...both, 'onnx:plain', 'onnx:prepacked']
  }
  return [...both, 'jax:tuned']
}

/** The ceiling, then the reference of the comparison, then the others. */
function enginesOf(workload) {
  const { kind } = workload
  const wrapped = kind === 'lora' || kind === 'transformer' ? peft : []
  return ['ceiling', ...torch, ...wrapped, ...ownEngines(workload), ...peersOf(workload)]
}

function commit() {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim()
  } catch {
    return 'unknown'
  }
}

async function measureAll() {
  const results = {
    date: new Date().toISOString().slice(0, 10),
    commit: commit(),
    machine: `${cpus()[0].model.trim()}, ${cpus().length} processors, ${platform()} ${arch()}`,
    node: process.versions.node,
    samples: options.quick ? 3 : 9,
    workloads: [],
  }
  const only = new RegExp(options.only)
  for (const workload of WORKLOADS.filter(({ name }) => only.test(name))) {
    const measured = await measure(workload, enginesOf(workload), results.samples)
    results.workloads.push(measured)
    printWorkload(measured)
  }
  if (options.quick || options.only !== '') {
    return results
  }
  return { ...results, ...measureExtras() }
}

const results = options.from ? JSON.parse(readFileSync(options.from, 'utf8')) : await measureAll()
printGoals(results)
if (options.json) {
  writeFileSync(options.json, `${JSON.stringify(results, null, 1)}\n`)
}
if (options.write) {
  await writeResults(results)
}
const ours = results.workloads
  .flatMap(({ engines }) => engines)
  .filter(({ engine }) => /^lowrank/.test(engine))
process.exitCode = ours.some(({ problems }) => problems.length > 0) ? 1 : 0
