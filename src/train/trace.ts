// Where the time of a run goes: every op, forward and backward, and every call of a kernel, as a table and as
// a file that chrome://tracing, Perfetto and the developer tools of browsers open. A kernel's time is part of its
// op's; what a parent op runs inside it (`checkpoint`) counts for both. On a GPU a kernel's time is that of
// asking for it. Without a trace nothing of this runs: kernels are wrapped when it starts and put back when
// it ends. Format: "Trace Event Format", complete events (ph X), times in microseconds.

import { type Backend, currentBackend, type KernelSet } from '../core/backend.ts'
import { LowrankError } from '../core/errors.ts'
import { observeOps } from '../core/op.ts'

/** What an event is: an op's pass, or a kernel. */
export type TraceKind = 'forward' | 'backward' | 'kernel'

/** The calls of one op's pass or of one kernel, added up. */
export interface TraceTotal {
  readonly kind: TraceKind
  readonly name: string
  readonly calls: number
  readonly milliseconds: number
}

/** A call, in milliseconds since the trace began. */
export interface TraceEvent {
  readonly kind: TraceKind
  readonly name: string
  readonly start: number
  readonly duration: number
}

export interface TraceOptions {
  /** The backend whose kernels are timed; the current one if absent. */
  readonly backend?: Backend
  /** How many calls are kept one by one, from the first on; 100,000 if absent. All are added up. */
  readonly maxEvents?: number
}

const MAX_EVENTS = 100_000

type AnyKernel = (...operands: unknown[]) => unknown

/** The result of a trace. */
export class Trace {
  /** The largest first. */
  readonly totals: readonly TraceTotal[]
  readonly events: readonly TraceEvent[]
  /** From start to stop. */
  readonly milliseconds: number

  constructor(totals: readonly TraceTotal[], events: readonly TraceEvent[], milliseconds: number) {
    this.totals = totals.toSorted((a, b) => b.milliseconds - a.milliseconds)
    this.events = events
    this.milliseconds = milliseconds
  }

  /** Ops, then kernels: calls, milliseconds, microseconds per call, and the share of the whole time. */
  toString(): string {
    const parts = [
      this.#table('op', total => total.kind !== 'kernel'),
      this.#table('kernel', total => total.kind === 'kernel'),
    ]
    return parts.join('\n\n')
  }

  /** The text of a file for chrome://tracing or Perfetto. */
  toChromeTrace(): string {
    const traceEvents = this.events.map(({ kind, name, start, duration }) => ({
      name,
      cat: kind,
      ph: 'X',
      ts: start * 1000,
      dur: duration * 1000,
      pid: 1,
      tid: 1,
    }))
    return JSON.stringify({ displayTimeUnit: 'ms', traceEvents })
  }

  #table(heading: string, wanted: (total: TraceTotal) => boolean): string {
    const rows = this.totals
      .filter(wanted)
      .map(({ kind, name, calls, milliseconds }) => [
        kind === 'kernel' ? name : `${name} ${kind}`,
        String(calls),
        milliseconds.toFixed(2),
        ((milliseconds / calls) * 1000).toFixed(1),
        ((milliseconds / this.milliseconds) * 100).toFixed(1),
      ])
    const table = [[heading, 'calls', 'ms', 'µs/call', '%'], ...rows]
    const widths = table[0].map((_, i) => Math.max(...table.map(row => row[i].length)))
    return table
      .map(([name, ...numbers]) => {
        const columns = numbers.map((text, i) => text.padStart(widths[i + 1]))
        return [name.padEnd(widths[0]), ...columns].join('  ')
      })
      .join('\n')
  }
}

/** Collects events while a trace runs. */
class Collector {
  readonly events: TraceEvent[] = []
  readonly #totals: Map<
    string,
    { kind: TraceKind; name: string; calls: number; milliseconds: number }
  > = new Map()
  readonly #began: number = performance.now()
  readonly #maxEvents: number

  constructor(maxEvents: number) {
    this.#maxEvents = maxEvents
  }

  get totals(): TraceTotal[] {
    return [...this.#totals.values()]
  }

  get elapsed(): number {
    return performance.now() - this.#began
  }

  add(kind: TraceKind, name: string, start: number, duration: number): void {
    const key = `${kind} ${name}`
    const total = this.#totals.get(key) ?? { kind, name, calls: 0, milliseconds: 0 }
    total.calls++
    total.milliseconds += duration
    this.#totals.set(key, total)
    if (this.events.length < this.#maxEvents) {
      this.events.push({ kind, name, start: start - this.#began, duration })
    }
  }

  /** The kernels of a set, each of which tells how long it took. */
  timed<K>(set: KernelSet<K>, kernels: K): K {
    const timed: Record<string, AnyKernel> = {}
    for (const name of Object.keys(set.reference as object)) {
      const kernel = (kernels as Record<string, AnyKernel>)[name]
      timed[name] = (...operands) => {
        const start = performance.now()
        const result = kernel(...operands)
        this.add('kernel', name, start, performance.now() - start)
        return result
      }
    }
    return timed as K
  }
}

/** Wraps the kernels that `backend` hands out; returns what puts them back. */
function timeKernels(backend: Backend, collector: Collector): () => void {
  const original = backend.kernels
  const wrapped: Map<object, unknown> = new Map()
  backend.kernels = <K>(set: KernelSet<K>): K => {
    const kernels = wrapped.get(set) ?? collector.timed(set, original.call(backend, set) as K)
    wrapped.set(set, kernels)
    return kernels as K
  }
  return () => {
    backend.kernels = original
  }
}

let running = false

/**
 * Times every op and kernel from now on, until the function it returns is called; called again, that
 * function returns the same trace. Throws an `argument` error while another trace runs.
 *
 * @example
 * ```ts
 * import { matmul, tensor } from 'lowrank'
 * import { startTrace } from 'lowrank/train'
 *
 * const stop = startTrace()
 * matmul(tensor([1, 2], [1, 2]), tensor([3, 4], [2, 1]))
 * const trace = stop()
 * console.log(trace.totals.map(({ kind, name }) => `${kind} ${name}`)) // ['forward matmul', 'kernel matmul_nn']
 * console.log(trace.toChromeTrace().includes('"ph":"X"')) // true
 * ```
 */
export function startTrace(options: TraceOptions = {}): () => Trace {
  if (running) {
    throw new LowrankError('argument', 'startTrace: a trace is already running (stop it first)')
  }
  running = true
  const collector = new Collector(options.maxEvents ?? MAX_EVENTS)
  const restore = timeKernels(options.backend ?? currentBackend(), collector)
  observeOps(({ phase, name, start, duration }) => {
    collector.add(phase, name, start, duration)
  })
  let trace: Trace | undefined
  return () => {
    if (!trace) {
      observeOps(undefined)
      restore()
      running = false
      trace = new Trace(collector.totals, collector.events, collector.elapsed)
    }
    return trace
  }
}
