// WebGPU beside one thread of WASM and beside the WebGPU backends of peers: products, the step of a LoRA
// layer, and of a transformer (workloads.mjs), in Deno and in Node with Dawn. The first gradients, five losses
// and the parameters after them agree with those on WASM, which agree with PyTorch (main.mjs), or nothing is timed.
//   npm run bench:webgpu -- [--place deno|dawn] [--only REGEX] [--quick] [--gflop N] [--ours] [--json FILE]
// On a device in software, workloads of more than --gflop (5 there) operations in 10⁹ are left out; its times
// say which code does more work, not what a GPU makes of it. --quick takes 3 samples instead of 9; --ours
// leaves the peers out. Dawn takes the driver that VK_ICD_FILENAMES names.
import { execFileSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { measureEngines } from './measure.mjs'
import { hasPlace } from './process.mjs'
import { GPU_WORKLOADS } from './workloads.mjs'

const { values: options } = parseArgs({
  options: {
    place: { type: 'string' },
    only: { type: 'string', default: '' },
    quick: { type: 'boolean', default: false },
    gflop: { type: 'string' },
    ours: { type: 'boolean', default: false },
    json: { type: 'string' },
  },
})

const here = fileURLToPath(new URL('.', import.meta.url))
if (!options.ours && !existsSync(`${here}/node_modules`)) {
  execFileSync('npm', ['ci', '--prefix', here], { stdio: 'inherit' })
}

const INSTALL = {
  deno: 'npm ci --prefix test/runtimes',
  dawn: 'npm ci --ignore-scripts --prefix test/webgpu',
}
const PEERS = ['tfjs:written', 'tfjs:tuned', 'jax:written', 'jax:tuned']
const SOFTWARE = /swiftshader|llvmpipe|lavapipe|software/i
const SOFTWARE_GFLOP = 5

function placesHere() {
  const wanted = options.place ? [options.place] : Object.keys(INSTALL)
  return wanted.filter(place => {
    if (!hasPlace(place)) {
      console.warn(`skipped: ${place} is not installed (${INSTALL[place]})`)
    }
    return hasPlace(place)
  })
}

const enginesAt = (place, { kind }) =>
  ['lowrank', ...(options.ours ? [] : PEERS)]
    .filter(engine => kind !== 'product' || engine !== 'jax:tuned')
    .map(engine => `${engine}@${place}`)

const isOurs = engine => engine.startsWith('lowrank')
const usable = ({ median, problems }) => median !== undefined && problems.length === 0

/** The median of lowrank, of the fastest peer, and of lowrank on WASM, in seconds. */
function standing(engines) {
  const [wasm, ...others] = engines
  const ours = others.find(({ engine }) => isOurs(engine))
  const peers = others.filter(found => !isOurs(found.engine) && usable(found))
  const [best] = peers.toSorted((a, b) => a.median - b.median)
  return { ours: usable(ours) ? ours.median : undefined, best, wasm: wasm.median }
}

function printEngines(engines, flops) {
  for (const { engine, median, problems } of engines) {
    const speed = `${(flops / median / 1e9).toFixed(1).padStart(8)} GFLOP/s`
    const text =
      problems.length > 0
        ? problems.slice(0, 2).join('; ').slice(0, 200)
        : `${(median * 1e3).toFixed(2).padStart(10)} ms ${speed}`
    console.log(`  ${engine.padEnd(20)} ${text}`)
  }
}

function printStanding({ ours, best, wasm }) {
  if (ours === undefined) {
    return
  }
  const beside = best ? `${(best.median / ours).toFixed(2)} × ${best.engine}, ` : ''
  console.log(`  lowrank is ${beside}${(wasm / ours).toFixed(3)} × wasm on one thread`)
}

async function measureAt(place, workload) {
  const engines = ['lowrank', ...enginesAt(place, workload)]
  const measured = await measureEngines(workload, engines, options.quick ? 3 : 9)
  const { name, flops, sizes } = workload
  console.log(`\n${name} in ${place}`)
  printEngines(measured, flops)
  const stands = standing(measured)
  printStanding(stands)
  const gpu = measured.find(found => found.gpu)?.gpu
  return { name, place, flops, sizes, gpu, engines: measured, ...stands }
}

async function measurePlace(place) {
  const only = new RegExp(options.only)
  const results = []
  let limit = Number(options.gflop ?? Number.POSITIVE_INFINITY)
  for (const workload of GPU_WORKLOADS.filter(({ name }) => only.test(name))) {
    if (workload.flops > limit * 1e9) {
      console.log(`\n${workload.name}: left out, more than --gflop ${limit}`)
      continue
    }
    const result = await measureAt(place, workload)
    results.push(result)
    if (SOFTWARE.test(result.gpu) && !options.gflop) {
      limit = SOFTWARE_GFLOP
    }
  }
  return results
}

/** The narrowest LoRA layer that a step takes less time for than on WASM. */
function printBreakEven(place, results) {
  const layers = results.filter(({ name, ours }) => name.startsWith('L/') && ours !== undefined)
  const gpu = results.find(result => result.gpu)?.gpu ?? 'no device'
  const pays = layers.find(({ ours, wasm }) => ours < wasm)
  const text = pays ? `from ${pays.name} on` : 'nowhere among these layers'
  const kind = SOFTWARE.test(gpu) ? 'a device in software: ratios only' : 'a GPU'
  console.log(`\n${place}: ${gpu} (${kind}). Faster than wasm on one thread: ${text}.`)
}

const results = []
for (const place of placesHere()) {
  const found = await measurePlace(place)
  printBreakEven(place, found)
  results.push(...found)
}
if (options.json) {
  writeFileSync(options.json, `${JSON.stringify(results, null, 1)}\n`)
}
const ours = results.flatMap(({ engines }) => engines).filter(({ engine }) => isOurs(engine))
process.exitCode = ours.some(({ problems }) => problems.length > 0) ? 1 : 0
