// The results as text: lines while the bench runs, and bench/RESULTS.md with its chart after it.
import { writeFileSync } from 'node:fs'
import { chart } from './chart.mjs'
import { goalsOf } from './goals.mjs'

const milliseconds = seconds => {
  const ms = seconds * 1e3
  return ms >= 100 ? ms.toFixed(0) : ms >= 10 ? ms.toFixed(1) : ms.toPrecision(3)
}

/** One workload, as it is printed when it is measured. */
export function printWorkload({ name, flops, ceiling, engines }) {
  console.log(`\n${name}   ceiling ${(ceiling / 1e9).toFixed(1)} GFLOP/s`)
  for (const { engine, median, best, problems, peak } of engines) {
    if (problems.length > 0) {
      console.log(`  ${engine.padEnd(16)} ${problems.slice(0, 3).join('; ').slice(0, 300)}`)
      continue
    }
    const times = [median, best].map(seconds => milliseconds(seconds).padStart(7))
    const speed = (flops / median / 1e9).toFixed(1).padStart(6)
    const memory = `${peak.toFixed(0).padStart(5)} MB`
    console.log(
      `  ${engine.padEnd(16)} ${times[0]} ms (best ${times[1]}) ${speed} GFLOP/s ${memory}`,
    )
  }
}

const row = cells => `| ${cells.join(' | ')} |`

function table(head, rows) {
  const rule = head.map((_, i) => (i === 0 ? '---' : '--:'))
  return [row(head), row(rule), ...rows.map(row)].join('\n')
}

const COLUMNS = {
  lowrank: 'lowrank',
  torch: 'torch',
  'torch:peft': 'torch + peft',
  'tfjs:written': 'tfjs-wasm as written',
  'tfjs:tuned': 'tfjs-wasm tuned',
  'jax:written': 'jax-js as written',
  'jax:tuned': 'jax-js tuned',
  'onnx:plain': 'ORT-web',
  'onnx:prepacked': 'ORT-web prepacked',
}

function cellOf(workload, engine, value) {
  const found = workload.engines.find(entry => entry.engine === engine)
  if (!found) {
    return ''
  }
  return found.problems.length > 0 ? 'wrong' : value(found)
}

function timesTable(workloads) {
  const rows = workloads.map(workload => [
    workload.name,
    ...Object.keys(COLUMNS).map(engine =>
      cellOf(
        workload,
        engine,
        ({ median, best }) => `${milliseconds(median)} (${milliseconds(best)})`,
      ),
    ),
  ])
  return table(['ms per step: median (minimum)', ...Object.values(COLUMNS)], rows)
}

function memoryTable(workloads) {
  const rows = workloads
    .filter(({ kind }) => kind !== 'product')
    .map(workload => [
      workload.name,
      ...Object.keys(COLUMNS)
        .filter(engine => !engine.startsWith('onnx'))
        .map(engine => cellOf(workload, engine, ({ peak }) => peak.toFixed(0))),
      cellOf(workload, 'lowrank', ({ heap }) => heap.toFixed(1)),
    ])
  const names = Object.entries(COLUMNS).filter(([engine]) => !engine.startsWith('onnx'))
  return table(['MB', ...names.map(([, name]) => name), 'of which the heap of lowrank'], rows)
}

function oursTable(workloads) {
  const rows = workloads.flatMap(({ name, flops, ceiling, engines }) =>
    engines
      .filter(({ engine, median }) => engine.startsWith('lowrank') && median)
      .map(({ engine, median }) => {
        const speed = flops / median
        const share = `${((100 * speed) / ceiling).toFixed(0)} %`
        const variant = engine === 'lowrank' ? '' : engine.slice(8)
        return [`${name} ${variant}`, (speed / 1e9).toFixed(1), (ceiling / 1e9).toFixed(1), share]
      }),
  )
  return table(['lowrank', 'GFLOP/s', 'ceiling', 'share'], rows)
}

function goalsTable(goals) {
  const rows = goals.map(({ what, goal, value, share, met }) => [
    what,
    goal,
    value.toFixed(2),
    share === undefined ? '' : `${(100 * share).toFixed(0)} %`,
    share === undefined ? '' : (value / share).toFixed(2),
    met,
  ])
  return table(
    ['goal', 'at', 'reached', 'share of the ceiling', 'reached at the ceiling', ''],
    rows,
  )
}

/** Goals as they are printed: the missed ones by name. */
export function printGoals(results) {
  const goals = goalsOf(results)
  const missed = goals.filter(({ met }) => met === 'missed')
  console.log(`\n${goals.length - missed.length} goals met, ${missed.length} missed`)
  for (const { what, goal, value, share } of missed) {
    const of = share === undefined ? '' : `, ${(100 * share).toFixed(0)} % of the ceiling`
    console.log(`  missed: ${what} ${goal}: ${value.toFixed(2)}${of}`)
  }
}

function versionsOf(workloads) {
  const found = workloads.flatMap(({ engines }) =>
    engines.map(({ engine, version }) => [engine.split(':')[0], version]),
  )
  const peft = workloads.flatMap(({ engines }) => engines).find(e => e.engine === 'torch:peft')
  const versions = { ...Object.fromEntries(found), ...(peft && { torch: peft.version }) }
  return Object.entries(versions).map(([name, version]) => `${name} ${version}`)
}

function modelSection(smollm) {
  if (!smollm) {
    return ''
  }
  const { seconds, gflops, heap, reserved, tokens, trainable, losses } = smollm
  return `
## A model of 135 million parameters

The shape of SmolLM2-135M (30 layers, d 576, 9 heads, 3 key/value heads, ff 1536, vocabulary 49,152), random weights in bfloat16,
LoRA r = 8 on all linear layers (${trainable} parameters trained), ${tokens} tokens a step, one thread
(\`npx tsx bench/smollm.ts\`): ${seconds.toFixed(2)} s per step, ${gflops.toFixed(1)} GFLOP/s, ${heap.toFixed(0)} MB of the heap at its
peak, ${reserved.toFixed(0)} MB of WASM memory. Loss of the first and last step: ${losses[0].toFixed(3)}, ${losses.at(-1).toFixed(3)}.
`
}

function page(results) {
  const { workloads } = results
  const goals = goalsOf(results)
  const missed = goals.filter(({ met }) => met === 'missed').length
  return `# Results

Written by \`npm run bench:peers -- --write\`. One thread, one process per engine and workload, engines interleaved,
${results.samples} samples of at least one step and about 50 ms; processor time where that is less than the time on the clock. Every engine's
products, first five losses and first gradients agree with PyTorch to 1e-4 and its trained parameters to 2e-3, or it is not timed ("wrong").
The workloads are defined in [peers/workloads.mjs](peers/workloads.mjs).

- Machine: ${results.machine}
- Commit: ${results.commit}, ${results.date}
- Versions: Node ${results.node}, ${versionsOf(workloads).join(', ')}

![Time of each engine as a multiple of lowrank's](results.svg)

## Time

${timesTable(workloads)}

"As written" is what the documentation of an engine shows, "tuned" what a user reaches after profiling: in
[engines](peers/engines). lowrank appears once, as its README shows it.

## Peak memory

Resident memory of the process, Node or Python included.

${memoryTable(workloads)}
${modelSection(results.smollm)}
## Goals

${goals.length - missed} met, ${missed} missed. Values are ratios of medians; "met (ceiling)": below the ratio, but at least 90 % of what the
ceiling probe reached in the same run. "Reached at the ceiling" is the ratio if no cycle were lost: where it is below the goal, no
code of 128-bit multiplications and additions gets there.

${goalsTable(goals)}

What stands between, where a goal is missed (\`docs/kernels.md\` has the profile of each kernel):

- **PyTorch** uses vectors of 512 bits and fused multiply-add: it does 100 to 180 GFLOP/s where 128-bit operations end at the ceiling. Products
  take 78 % of the transformer step and 95 % of the 2048 LoRA step (\`node bench/peers/trace.mjs\`).
- **Few rows by 2048 × 2048**: the 16.8 MB of weights come from beyond the second cache level once per product, 0.6 to 1.5 ms at the 11 to 30
  GB/s of this machine; the arithmetic takes 0.8 ms for 4 rows and 6.3 ms for 32 at the ceiling. The first tile of each panel waits for
  memory, and WASM has no prefetch instruction. At 4 rows all engines read at the same speed.
- **The skinny shapes**: a tile of K = 8 or 16 is 43 or 86 cycles of arithmetic between its start and its end, or a product of 8 columns is one
  panel wide and reads A once per element. The best peer is at 75 % of the ceiling there, so that 1.3 times means more than 97 %.
- **64³**: a product takes 12 µs, and opening a step, checking shapes and recording takes 4 more.

## Share of the ceiling

The ceiling is 128-bit multiplications and additions between registers, sampled beside each workload.

${oursTable(workloads)}
`
}

/** Renews bench/RESULTS.md and bench/results.svg. */
export async function writeResults(results) {
  const target = name => new URL(`../${name}`, import.meta.url)
  writeFileSync(target('RESULTS.md'), page(results))
  writeFileSync(target('results.svg'), await chart(results))
}
