// One engine on one workload, in a process of its own: answers a line of JSON on standard input with a
// line on standard output.
//   check   the first gradients, five losses and the parameters after them (or the product)
//   sample  seconds per step, `calls` steps in a row
//   end     the peak of the resident memory
//   node worker.mjs ENGINE[:VARIANT][@PLACE] WORKLOAD FOLDER
// Without a place engines compute on WASM; in `deno`, which runs this file too, or `dawn`, on WebGPU.
import { readFileSync, writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'
import { openDevice } from './device.mjs'
import { gradientNames, tensorsOf, trainedNames, workloadOf } from './workloads.mjs'

const [engine, name, folder] = process.argv.slice(2)
const [library, place] = engine.split('@')
const [file, variant] = library.split(':')

// Libraries print banners; the protocol is the only thing on standard output.
console.log =
  console.info =
  console.warn =
    (...words) => process.stderr.write(`${words.join(' ')}\n`)

async function create() {
  const gpu = place && (await openDevice(place))
  const { create } = await import(new URL(`engines/${file}.mjs`, import.meta.url))
  const workload = workloadOf(name)
  const run = await create(workload, tensorsOf(workload), variant, gpu ? 'webgpu' : 'wasm')
  return { ...run, gpu }
}

/** Writes arrays one after the other; their names and lengths are the answer. */
function save(what, arrays) {
  const path = `${folder}/${what}.f32`
  const parts = Object.values(arrays).map(a => Buffer.from(a.buffer, a.byteOffset, a.byteLength))
  writeFileSync(path, Buffer.concat(parts))
  const tensors = Object.entries(arrays).map(([tensor, { length }]) => ({ tensor, length }))
  return { path, tensors }
}

const pick = (arrays, names) => Object.fromEntries(names.map(key => [key, arrays[key]]))

async function check(run) {
  const workload = workloadOf(name)
  if (workload.kind === 'product') {
    return { product: save('product', { c: await run.result() }) }
  }
  const gradients = save('gradients', pick(await run.gradients(), gradientNames(workload)))
  const losses = []
  for (let i = 0; i < 5; i++) {
    losses.push(await run.step())
  }
  const parameters = save('parameters', pick(await run.parameters(), trainedNames(workload)))
  return { gradients, losses, parameters }
}

/** Seconds per step; time in which another process had the processor does not count, unless a GPU has it. */
async function sample(run, calls) {
  const used = process.cpuUsage()
  const start = process.hrtime.bigint()
  if (run.steps) {
    await run.steps(calls)
  } else {
    for (let i = 0; i < calls; i++) {
      await run.step()
    }
  }
  const clock = Number(process.hrtime.bigint() - start) / 1e9
  if (place) {
    return clock / calls
  }
  const { user, system } = process.cpuUsage(used)
  return Math.min(clock, Math.max(user + system, 1) / 1e6) / calls
}

function peakMegabytes() {
  try {
    const status = readFileSync('/proc/self/status', 'utf8')
    return Number(/VmHWM:\s+(\d+)/.exec(status)[1]) / 1024
  } catch {
    return process.resourceUsage().maxRSS / 1024
  }
}

const say = answer => process.stdout.write(`${JSON.stringify(answer)}\n`)

export async function serve() {
  try {
    const run = await create()
    say({ ready: true, version: run.version, gpu: run.gpu })
    for await (const line of createInterface({ input: process.stdin })) {
      const { ask, calls } = JSON.parse(line)
      if (ask === 'check') {
        say(await check(run))
      } else if (ask === 'sample') {
        say({ seconds: await sample(run, calls) })
      } else {
        say({ peak: peakMegabytes(), heap: run.heap?.() })
        process.exit(0)
      }
    }
  } catch (error) {
    say({ error: String(error?.stack ?? error) })
    process.exit(1)
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  await serve()
}
