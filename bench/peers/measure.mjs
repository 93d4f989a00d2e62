// One workload on all engines: agreement first, then samples in turn, so that a slow second of the machine
// hits all of them.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { disagreements } from './agreement.mjs'
import { CEILING_FLOPS } from './engines/ceiling.mjs'
import { Worker } from './process.mjs'

/** Seconds that a sample takes, roughly; one step where a step takes longer. */
const SAMPLE = 0.05
const WARM_UP = 1

async function start(engine, workload) {
  const folder = mkdtempSync(join(tmpdir(), 'lowrank-bench-'))
  const worker = new Worker(engine, workload, folder)
  const run = { engine, worker, folder, samples: [], problems: [] }
  try {
    Object.assign(run, await worker.answer())
    if (engine !== 'ceiling') {
      run.checked = await worker.ask({ ask: 'check' })
    }
  } catch (error) {
    fail(run, error)
  }
  return run
}

function fail(run, error) {
  run.problems.push(String(error.message).split('\n')[0])
  run.worker.kill()
}

/** Enough steps for the optimizing tier of the engine; the number of steps that make a sample. */
async function warmUp(run) {
  let calls = 1
  let spent = 0
  let seconds = 0
  do {
    ;({ seconds } = await run.worker.ask({ ask: 'sample', calls }))
    spent += seconds * calls
    calls = Math.max(1, Math.min(20000, Math.round(SAMPLE / seconds)))
  } while (spent < WARM_UP)
  run.calls = calls
}

const alive = run => run.problems.length === 0

async function forEachAlive(runs, act) {
  for (const run of runs.filter(alive)) {
    try {
      await act(run)
    } catch (error) {
      fail(run, error)
    }
  }
}

/** Engines are compared with the first that is there: PyTorch, or this library. */
function compare(runs) {
  const reference = runs.find(run => run.checked)
  for (const run of runs) {
    if (run.checked && run !== reference) {
      run.problems.push(...disagreements(run.checked, reference.checked, run.engine))
    }
  }
}

function summary(run) {
  const sorted = run.samples.toSorted((a, b) => a - b)
  return {
    engine: run.engine,
    version: run.version,
    gpu: run.gpu,
    problems: run.problems,
    median: sorted[sorted.length >> 1],
    best: sorted[0],
    samples: run.samples,
    peak: run.peak,
    heap: run.heap,
  }
}

/** Seconds per step and peak memory of each engine, the first one being what the others must agree with. */
export async function measureEngines(workload, engines, rounds) {
  const runs = []
  for (const engine of engines) {
    runs.push(await start(engine, workload))
  }
  compare(runs)
  await forEachAlive(runs, warmUp)
  for (let round = 0; round < rounds; round++) {
    await forEachAlive(runs, async run => {
      const { seconds } = await run.worker.ask({ ask: 'sample', calls: run.calls })
      run.samples.push(seconds)
    })
  }
  await forEachAlive(runs, async run => {
    const { peak, heap } = await run.worker.end()
    Object.assign(run, { peak, heap })
  })
  for (const run of runs) {
    rmSync(run.folder, { recursive: true, force: true })
    run.worker.kill()
  }
  return runs.map(summary)
}

/** The same with the ceiling, in operations per second, which is the first of the engines. */
export async function measure(workload, engines, rounds) {
  const [ceiling, ...rest] = await measureEngines(workload, engines, rounds)
  const { name, kind, flops } = workload
  return { name, kind, flops, ceiling: CEILING_FLOPS / ceiling.median, engines: rest }
}
