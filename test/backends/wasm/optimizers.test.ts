// Optimizer kernels byte by byte: nothing outside the operands is read or written, at every length
// around the lanes; an element's bits do not depend on where it stands; a set flag leaves all bytes.

import { describe, expect, test } from 'vitest'
import { binary as adafactorBinary } from '../../../src/backends/wasm/binaries/adafactor.ts'
import { binary as coreBinary } from '../../../src/backends/wasm/binaries/core.ts'
import { binary as reductionsBinary } from '../../../src/backends/wasm/binaries/reductions.ts'
import { Random } from '../../../src/core/rng.ts'
import { KernelInstance } from '../../support/instance.ts'

const GUARD = 0x7fc0dead
const GUARDS = 16
const core = new KernelInstance(coreBinary.module(), 1)
const reductions = new KernelInstance(reductionsBinary.module(), 1)
const adafactor = new KernelInstance(adafactorBinary.module(), 1)

interface Operands {
  readonly instance: KernelInstance
  /** The byte addresses of the arrays, by name. */
  readonly at: Record<string, number>
  /** All words, guards included, by name. */
  readonly words: Record<string, Uint32Array>
}

/** Arrays of random numbers in [0.1, 1), NaN around them, and control and clocks after one step. */
function operandsOf(
  instance: KernelInstance,
  lengths: Readonly<Record<string, number>>,
  flag: number,
  atEnd?: string,
): Operands {
  instance.clear()
  const random = new Random(7, 'operands')
  const at: Record<string, number> = {}
  const words: Record<string, Uint32Array> = {}
  for (const [name, length] of Object.entries(lengths)) {
    const last = name === atEnd
    const start = last
      ? instance.atEnd(4 * (length + GUARDS))
      : instance.reserve(4 * (length + 2 * GUARDS))
    at[name] = start + 4 * GUARDS
    words[name] = instance.u32(start, length + (last ? 1 : 2) * GUARDS)
    words[name].fill(GUARD)
    instance.f32(at[name], length).set(Array.from({ length }, () => 0.1 + 0.9 * random.uniform()))
  }
  instance.f32(at.control, 5).set([0, 0, 2, 0.5, flag])
  instance.f32(at.clocks, 8).set([5, 5, 5, 5, 1, 0.5, 0.5, 0.25])
  return { instance, at, words }
}

const shared = { control: 5, clocks: 8 }

/** A kernel over arrays of n elements (cols of a matrix with two rows, for Adafactor). */
interface KernelCase {
  readonly name: string
  readonly instance: KernelInstance
  readonly lengths: (n: number) => Record<string, number>
  readonly writes: readonly string[]
  readonly run: (at: Record<string, number>, n: number) => void
}

const adam = [1, 0.9, 0.99, 1e-8, 0.1, 1, 0]

const kernels: KernelCase[] = [
  {
    name: 'sgd_update',
    instance: core,
    lengths: n => ({ p: n, g: n }),
    writes: ['p'],
    run: ({ p, g, control }, n) => core.kernels.sgd_update(p, g, n, control, 1, 0.1, 0),
  },
  {
    name: 'sgd_momentum_update',
    instance: core,
    lengths: n => ({ p: n, g: n, b: n }),
    writes: ['p', 'b'],
    run: ({ p, g, b, clocks, control }, n) =>
      core.kernels.sgd_momentum_update(p, g, b, n, clocks, 1, control, 1, 0.9, 0.5, 0.1, 1, 1),
  },
  {
    name: 'adam_update',
    instance: core,
    lengths: n => ({ p: n, g: n, m: n, v: n }),
    writes: ['p', 'm', 'v'],
    run: ({ p, g, m, v, clocks, control }, n) =>
      core.kernels.adam_update(p, g, m, v, n, clocks, 1, control, ...adam),
  },
  {
    name: 'adam_amsgrad_update',
    instance: core,
    lengths: n => ({ p: n, g: n, m: n, v: n, w: n }),
    writes: ['p', 'm', 'v', 'w'],
    run: ({ p, g, m, v, w, clocks, control }, n) =>
      core.kernels.adam_amsgrad_update(p, g, m, v, w, n, clocks, 1, control, ...adam),
  },
  {
    name: 'clip_gradient',
    instance: core,
    lengths: n => ({ g: n }),
    writes: ['g'],
    run: ({ g, control }, n) => core.kernels.clip_gradient(g, n, control),
  },
  {
    name: 'adafactor_rows',
    instance: adafactor,
    lengths: n => ({ g: 2 * n, row: 2 }),
    writes: ['row'],
    run: ({ g, row, clocks, control }, n) =>
      adafactor.kernels.adafactor_rows(g, row, 2, n, clocks, 1, control, 0),
  },
  {
    name: 'adafactor_columns',
    instance: adafactor,
    lengths: n => ({ g: 2 * n, col: n, scratch: 2 * n }),
    writes: ['col', 'scratch'],
    run: ({ g, col, scratch, clocks, control }, n) =>
      adafactor.kernels.adafactor_columns(g, col, 1, 2, n, clocks, 1, control, 0, scratch),
  },
  {
    name: 'adafactor_scale',
    instance: adafactor,
    lengths: n => ({ p: 2 * n, g: 2 * n, row: 2, col: n }),
    writes: ['clocks'],
    run: ({ p, g, row, col, clocks, control }, n) =>
      adafactor.kernels.adafactor_scale(
        ...[p, g, row, col, 1, 1, 2, n, clocks, 1, control],
        ...[0.1, 1, 1, 1e-3, 1e-6, 1],
      ),
  },
  {
    name: 'adafactor_apply',
    instance: adafactor,
    lengths: n => ({ p: 2 * n, g: 2 * n, row: 2, col: n, m: 2 * n }),
    writes: ['p', 'm'],
    run: ({ p, g, row, col, m, clocks, control }, n) =>
      adafactor.kernels.adafactor_apply(
        ...[p, g, row, col, m, 1, 1, 2, n, clocks, 1, control],
        ...[1, 0.9, 0.1, 0.1, 1e-6, 0],
      ),
  },
]

const lengths = [0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33]

describe.each(kernels)('$name', ({ instance, lengths: lengthsOf, writes, run }) => {
  test('writes its results, all of them finite, and nothing else', () => {
    for (const n of lengths) {
      const operands = operandsOf(instance, { ...lengthsOf(n), ...shared }, 0)
      const { at, words } = operands
      const before = Object.entries(words).map(([name, all]) => [name, all.slice()] as const)
      run(at, n)
      for (const [name, old] of before) {
        const now = words[name]
        const inner = now.length - 2 * GUARDS
        expect(now.slice(0, GUARDS), `${name} before, n ${n}`).toEqual(old.slice(0, GUARDS))
        expect(now.slice(GUARDS + inner), `${name} after, n ${n}`).toEqual(
          old.slice(GUARDS + inner),
        )
        if (!writes.includes(name)) {
          expect(now, `${name}, n ${n}`).toEqual(old)
        } else if (n > 0 && name !== 'w') {
          // The largest variance so far may stay.
          expect(now, `${name}, n ${n}`).not.toEqual(old)
        }
        // NaN from the guards would show in the results.
        const values = instance.f32(at[name], name === 'scratch' ? 0 : inner)
        expect(values.every(Number.isFinite), `${name}, n ${n}`).toBe(true)
      }
    }
  })

  test('changes no byte where the flag is set', () => {
    for (const n of lengths) {
      const { at } = operandsOf(instance, { ...lengthsOf(n), ...shared }, 1)
      const before = new Uint8Array(instance.memory.buffer.slice(0))
      run(at, n)
      expect(Buffer.compare(before, new Uint8Array(instance.memory.buffer))).toBe(0)
      expect(at.p ?? at.g).toBeGreaterThan(0)
    }
  })

  test('reads nothing past the end of the memory', () => {
    const names = Object.keys(lengthsOf(1))
    for (const n of lengths) {
      for (const name of names) {
        const { at } = operandsOf(instance, { ...lengthsOf(n), ...shared }, 0, name)
        expect(() => run(at, n), `${name}, n ${n}`).not.toThrow()
      }
    }
  })
})

test('an element has the same bits in a full vector and in the rest', () => {
  const n = 33
  for (const { lengths: lengthsOf, run, writes } of kernels.slice(0, 5)) {
    const { at, words } = operandsOf(core, { ...lengthsOf(n), ...shared }, 0)
    run(at, n)
    const whole = writes.map(name => words[name].slice(GUARDS, GUARDS + n))
    const again = operandsOf(core, { ...lengthsOf(n), ...shared }, 0)
    for (let i = 0; i < n; i++) {
      const moved = Object.entries(again.at).map(([name, address]) => {
        return [name, name in shared ? address : address + 4 * i]
      })
      run(Object.fromEntries(moved), 1)
    }
    const single = writes.map(name => again.words[name].slice(GUARDS, GUARDS + n))
    expect(single).toEqual(whole)
  }
})

test('the clocks of the parameters named advance, and no others', () => {
  const { kernels: calls } = core
  for (const [advance, terms, derived] of [
    [calls.adam_advance, [0.9, 0.99], [1 - 0.9 ** 2, Math.sqrt(1 - 0.99 ** 2)]],
    [calls.sgd_advance, [], [0.5, 0.5]],
  ] as const) {
    const { at, words } = operandsOf(core, shared, 0)
    advance(at.clocks, 1, 1, at.control, ...terms)
    expect([...core.f32(at.clocks, 8)]).toEqual([5, 5, 5, 5, 2, ...derived.map(Math.fround), 0.25])
    expect(words.clocks[GUARDS + 8]).toBe(GUARD)
    const refused = operandsOf(core, shared, 1)
    advance(refused.at.clocks, 0, 2, refused.at.control, ...terms)
    expect(core.f32(refused.at.clocks, 8)[0]).toBe(5)
  }
})

// power.ts states 4e-16·(2 + |y ln x|); what can be seen from outside is rounded to f32 (6e-8).
test('Adafactor: t^decay for any count', () => {
  const { at } = operandsOf(adafactor, shared, 0)
  let worst = 0
  for (const decay of [-0.8, -0.6, -0.05, -1, -3]) {
    for (let t = 1; t < 2 ** 24; t = Math.ceil(t * 1.07)) {
      adafactor.f32(at.clocks, 1)[0] = t - 1
      adafactor.kernels.adafactor_advance(at.clocks, 0, 1, at.control, decay)
      const want = t ** decay
      worst = Math.max(worst, Math.abs(adafactor.f32(at.clocks, 2)[1] / want - 1))
    }
  }
  expect(worst).toBeLessThan(6e-8)
})

// The accumulator is a double, so the error of x^p itself can be seen.
test('powers are within their stated error', () => {
  const { at, instance } = operandsOf(reductions, { ...shared, g: 1 }, 0)
  const accumulator = new Float64Array(instance.memory.buffer, at.control, 1)
  const random = new Random(3, 'powers')
  let worst = 0
  for (let i = 0; i < 4000; i++) {
    // Near √2 and with a large p the error of the logarithm shows most.
    const exponent = i % 2 ? 0 : Math.floor(random.uniform() * 60) - 30
    const x = Math.fround((1 + random.uniform()) * 2 ** exponent)
    const p = 0.25 + 20 * random.uniform()
    reductions.f32(at.g, 1)[0] = x
    accumulator[0] = 0
    reductions.kernels.power_norm_add(at.g, 1, p, at.control)
    const error = Math.abs(accumulator[0] / x ** p - 1)
    worst = Math.max(worst, error / (4e-16 * (2 + Math.abs(p * Math.log(x)))))
  }
  expect(worst).toBeLessThan(1)
  expect(worst).toBeGreaterThan(0.05)
})
