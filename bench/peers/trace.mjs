// Where the time of this library's step goes on one workload: node bench/peers/trace.mjs NAME [STEPS]
import { startTrace } from '../../dist/train/index.js'
import { create } from './engines/lowrank.mjs'
import { tensorsOf, WORKLOADS, workloadOf } from './workloads.mjs'

const [start = 'T/', steps = '20'] = process.argv.slice(2)
const name = WORKLOADS.find(workload => workload.name.startsWith(start))?.name ?? start
const workload = workloadOf(name)
const run = await create(workload, tensorsOf(workload))

async function repeat(count) {
  for (let i = 0; i < count; i++) {
    await run.step()
  }
}

// The optimizing tier of the engine comes first.
await repeat(Number(steps))
const stop = startTrace()
await repeat(Number(steps))
console.log(`${name}\n${stop()}`)
