// startTrace: every op and kernel is counted and timed, forward and backward; the file is one that viewers read;
// nothing is timed, or left behind, before and after.

import { expect, it } from 'vitest'
import { reference } from '../../src/backends/reference/index.ts'
import { withBackend } from '../../src/core/backend.ts'
import { backward, step } from '../../src/core/tape.ts'
import { tensor } from '../../src/core/tensor.ts'
import { matmul } from '../../src/ops/matmul.ts'
import { silu } from '../../src/ops/silu.ts'
import { sum } from '../../src/ops/sum.ts'
import { startTrace, type Trace } from '../../src/train/trace.ts'
import { backends } from '../support/backends.ts'

function train(steps: number): void {
  const x = tensor([1, 2, 3, 4], [2, 2], { requiresGrad: true })
  for (let i = 0; i < steps; i++) {
    step(() => backward(sum(silu(matmul(x, x)))))
  }
}

const callsOf = ({ totals }: Trace): Record<string, number> =>
  Object.fromEntries(totals.map(({ kind, name, calls }) => [`${kind} ${name}`, calls]))

it.each(backends)('counts every op and kernel on $name', ({ make }) => {
  withBackend(make(), () => {
    train(1)
    const stop = startTrace()
    train(3)
    const trace = stop()
    train(1)
    expect(callsOf(trace)).toMatchObject({
      'forward matmul': 3,
      'backward matmul': 3,
      'forward silu': 3,
      'backward silu': 3,
      'kernel matmul_nn': 3,
      'kernel matmul_nt': 3,
      'kernel matmul_tn': 3,
      'kernel silu': 3,
      'kernel silu_backward': 3,
    })
  })
})

it('computes the same, and puts the kernels of the backend back', () => {
  const backend = reference()
  withBackend(backend, () => {
    const { kernels } = backend
    const product = (): ArrayLike<number> =>
      matmul(tensor([2], [1, 1]), tensor([3], [1, 1])).dataSync()
    const want = product()
    const stop = startTrace()
    expect(product()).toEqual(want)
    stop()
    expect(backend.kernels).toBe(kernels)
  })
})

it('has kernels inside their ops, within the whole time', () => {
  const stop = startTrace()
  train(2)
  const { events, milliseconds } = stop()
  const ops = events.filter(({ kind }) => kind !== 'kernel')
  for (const { kind, name, start, duration } of events) {
    expect(start).toBeGreaterThanOrEqual(0)
    expect(start + duration).toBeLessThanOrEqual(milliseconds)
    const end = start + duration
    const around = ops.some(op => op.start <= start && end <= op.start + op.duration)
    // The walker of the tape has kernels of its own, outside any op.
    expect(kind !== 'kernel' || around || ['fill', 'copy', 'accumulate'].includes(name)).toBe(true)
  }
})

it('writes complete events in microseconds', () => {
  const stop = startTrace()
  train(1)
  const trace = stop()
  const { traceEvents } = JSON.parse(trace.toChromeTrace())
  expect(traceEvents).toHaveLength(trace.events.length)
  const [first] = trace.events
  expect(traceEvents[0]).toEqual({
    name: first.name,
    cat: first.kind,
    ph: 'X',
    ts: first.start * 1000,
    dur: first.duration * 1000,
    pid: 1,
    tid: 1,
  })
})

it('keeps as many events as it is told, and adds all of them up', () => {
  const stop = startTrace({ maxEvents: 5 })
  train(4)
  const trace = stop()
  expect(trace.events).toHaveLength(5)
  expect(callsOf(trace)['forward matmul']).toBe(4)
})

it('prints ops and kernels as tables', () => {
  const stop = startTrace()
  train(2)
  const lines = String(stop()).split('\n')
  expect(lines[0]).toMatch(/^op +calls +ms +µs\/call +%$/)
  expect(lines.some(line => /^matmul backward +2 +[\d.]+ +[\d.]+ +[\d.]+$/.test(line))).toBe(true)
  expect(lines.some(line => /^kernel +calls/.test(line))).toBe(true)
})

it('refuses a second trace at the same time', () => {
  const stop = startTrace()
  expect(() => startTrace()).toThrow('startTrace: a trace is already running (stop it first)')
  const trace = stop()
  const next = startTrace()
  expect(stop()).toBe(trace)
  expect(() => startTrace()).toThrow('already running')
  next()
  startTrace()()
})
