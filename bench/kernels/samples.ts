// Timing of contenders against each other on a machine that others may use too: samples are
// interleaved, so that a slow second hits all of them, and count processor time where that is less
// than the time on the clock, so that the turns of other processes do not count.

/** Seconds per call. */
export interface Timing {
  readonly median: number
  readonly best: number
}

/** Seconds that one sample takes, roughly; short ones would measure the clock. */
const SAMPLE = 0.002

function seconds(run: () => void, calls: number): number {
  const used = process.cpuUsage()
  const start = process.hrtime.bigint()
  for (let i = 0; i < calls; i++) {
    run()
  }
  const clock = Number(process.hrtime.bigint() - start) / 1e9
  const { user, system } = process.cpuUsage(used)
  return Math.min(clock, Math.max(user + system, 1) / 1e6)
}

/** Calls per sample, after enough calls for the engine's optimizing tier. */
function warmUp(run: () => void): number {
  let calls = 1
  let time = seconds(run, 1)
  for (let total = 0; total < 0.05 || time < SAMPLE / 2; total += time) {
    calls = Math.max(1, Math.min(100_000, Math.round((calls * SAMPLE) / Math.max(time, 1e-7))))
    time = seconds(run, calls)
  }
  return calls
}

/** Times all contenders `rounds` times, in turn. */
export function timeAll(contenders: readonly (() => void)[], rounds = 15): Timing[] {
  const calls = contenders.map(warmUp)
  const samples = contenders.map(() => [] as number[])
  for (let round = 0; round < rounds; round++) {
    contenders.forEach((run, i) => {
      samples[i].push(seconds(run, calls[i]) / calls[i])
    })
  }
  return samples.map(times => {
    const sorted = times.toSorted((x, y) => x - y)
    return { median: sorted[sorted.length >> 1], best: sorted[0] }
  })
}
