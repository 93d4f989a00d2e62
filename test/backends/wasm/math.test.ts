import { afterAll, describe, expect, it } from 'vitest'
import { binary } from '../../../src/backends/wasm/binaries/elementwise.ts'
import { cos, erf, exp, log, sigmoid, sin, tanh } from '../../../src/core/math.ts'
import { Random } from '../../../src/core/rng.ts'
import { KernelInstance } from '../../support/instance.ts'

// The f32 kernels against core/math, whose own error (1 ulp of f64) is nothing here. A quick run
// looks at every 997th bit pattern of f32; LOWRANK_FULL=1 looks at all 2³² and prints the largest
// errors (about 20 minutes).
const FULL = process.env.LOWRANK_FULL === '1'
const STRIDE = FULL ? 1 : 997
const BLOCK = 65536

interface Case {
  of: (x: number) => number
  /** The largest error in ulp that assembly/core/math.ts states. */
  bound: number
  /** The largest |x| for which it holds. */
  range: number
  /** FNV-1a of the bits of the results for every 997th pattern within the range. */
  bits: string
}

const CASES: Record<string, Case> = {
  exp: { of: exp, bound: 1, range: Infinity, bits: '61bd267c' },
  log: { of: log, bound: 1, range: Infinity, bits: '32a8f6a2' },
  tanh: { of: tanh, bound: 2, range: Infinity, bits: '957430bd' },
  sigmoid: { of: sigmoid, bound: 2, range: Infinity, bits: '4bcf2754' },
  erf: { of: erf, bound: 2, range: Infinity, bits: '69914a51' },
  sin: { of: sin, bound: 2, range: 1e6, bits: '8195f623' },
  cos: { of: cos, bound: 2, range: 1e6, bits: '576da9fd' },
}

const instance = new KernelInstance(binary.module(), 2)
const x = instance.reserve(4 * BLOCK)
const y = instance.reserve(4 * BLOCK)
const inputs = instance.f32(x, BLOCK)
const inputBits = instance.u32(x, BLOCK)
const outputs = instance.f32(y, BLOCK)
const outputBits = instance.u32(y, BLOCK)

const rounded = new Float32Array(1)
const roundedBits = new Uint32Array(rounded.buffer)

/** The spacing of f32 at a finite `want`; above the largest f32, that of the largest. */
function spacing(want: number): number {
  rounded[0] = want
  const exponent = Math.min((roundedBits[0] >>> 23) & 255, 254)
  return 2 ** (Math.max(exponent, 1) - 150)
}

/** |got - want| in ulp; NaN and zeros of the wrong sign are infinitely wrong. */
function error(got: number, want: number): number {
  if (want === 0 || Number.isNaN(want) || Number.isNaN(got)) {
    return Object.is(got, want) ? 0 : Infinity
  }
  const limit = 2 ** 128
  const nearest = Math.max(-limit, Math.min(limit, got))
  return Math.abs(nearest - Math.max(-limit, Math.min(limit, want))) / spacing(want)
}

/** Fills the input with BLOCK patterns from `first` on. */
function fill(first: number, stride: number): void {
  for (let i = 0; i < BLOCK; i++) {
    inputBits[i] = first + i * stride
  }
}

function sweep(name: string): { most: number; at: number; bits: string } {
  const { of, range } = CASES[name]
  let most = 0
  let at = 0
  let hash = 0x811c9dc5
  for (let first = 0; first < 2 ** 32; first += BLOCK * STRIDE) {
    fill(first, STRIDE)
    instance.kernels[name](x, y, BLOCK)
    for (let i = 0; i < BLOCK; i++) {
      const v = inputs[i]
      if (Math.abs(v) > range && Math.abs(v) < Infinity) {
        continue
      }
      const got = outputs[i]
      const wrong = error(got, of(v))
      if (wrong > most) {
        most = wrong
        at = v
      }
      // Payloads of NaN differ between CPUs.
      hash = Math.imul(hash ^ (Number.isNaN(got) ? 0x7fc00000 : outputBits[i]), 0x01000193)
    }
  }
  return { most, at, bits: (hash >>> 0).toString(16) }
}

const measured: Record<string, { ulp: number; at: number }> = {}

afterAll(() => {
  if (FULL) {
    console.table(measured)
  }
})

describe.each(Object.keys(CASES))('%s', name => {
  const kernel = instance.kernels[name]
  const { bound, bits } = CASES[name]

  it(`is at most ${bound} ulp off, with the same bits everywhere`, () => {
    const found = sweep(name)
    measured[name] = { ulp: found.most, at: found.at }
    expect(found.most, `${name}(${found.at})`).toBeLessThanOrEqual(bound)
    if (!FULL) {
      expect(found.bits).toBe(bits)
    }
  }, 7_200_000)

  it('passes NaN on', () => {
    inputs.fill(Number.NaN, 0, 4)
    inputs[1] = 0.5
    kernel(x, y, 4)
    expect(outputs[0]).toBeNaN()
    expect(outputs[1]).not.toBeNaN()
    expect(outputs[3]).toBeNaN()
  })

  it('treats each lane as if it were alone', () => {
    const random = new Random(30, name)
    const special = [0, -0, Infinity, -Infinity, Number.NaN, 1e-42, -1e-42, -87.5, 87.5, -100, 3e38]
    const count = 2000
    for (let i = 0; i < count; i++) {
      const ordinary = random.uniformBetween(-90, 90)
      inputs[i] = random.integer(4) === 0 ? random.pick(special) : ordinary
    }
    kernel(x, y, count)
    const together = outputBits.slice(0, count)
    for (let i = 0; i < count; i++) {
      kernel(x + 4 * i, y + 4 * i, 1)
    }
    expect(outputBits.slice(0, count)).toEqual(together)
  })

  it.each([0, 1, 2, 3, 4, 5, 7, 8, 11])('reads and writes exactly %i elements', n => {
    const random = new Random(31)
    // The input ends where the memory ends: one element more would trap.
    const end = instance.atEnd(4 * n)
    const values = instance.f32(end, n).map(() => random.uniformBetween(0.1, 4))
    instance.f32(end, n).set(values)
    outputBits.fill(0xabababab, 0, n + 16)
    kernel(end, y + 32, n)
    const got = outputs.slice(8, 8 + n)
    outputBits.fill(0xabababab, 8, 8 + n)
    expect(outputBits.slice(0, n + 16).every(word => word === 0xabababab)).toBe(true)
    got.forEach((value, i) => {
      expect(error(value, CASES[name].of(values[i]))).toBeLessThanOrEqual(bound)
    })
    // In place, at the end of the memory.
    kernel(end, end, n)
    expect(instance.f32(end, n).slice()).toEqual(got)
  })
})

describe('limits', () => {
  const at = (name: string, value: number): number => {
    inputs[0] = value
    instance.kernels[name](x, y, 1)
    return outputs[0]
  }

  it('exp vanishes and overflows where f32 does', () => {
    expect(at('exp', -Infinity)).toBe(0)
    expect(at('exp', -104)).toBe(0)
    expect(at('exp', -103)).toBe(1.401298464324817e-45)
    expect(at('exp', 0)).toBe(1)
    expect(at('exp', 88.7)).toBeLessThan(Infinity)
    expect(at('exp', 89)).toBe(Infinity)
    expect(at('exp', Infinity)).toBe(Infinity)
  })

  it('log is -infinity at 0, NaN below and right for subnormal numbers', () => {
    expect(at('log', 0)).toBe(-Infinity)
    expect(at('log', -0)).toBe(-Infinity)
    expect(at('log', -1)).toBeNaN()
    expect(at('log', -Infinity)).toBeNaN()
    expect(at('log', Infinity)).toBe(Infinity)
    expect(at('log', 1)).toBe(0)
    expect(at('log', 1.401298464324817e-45)).toBeCloseTo(-103.27893, 4)
  })

  it('tanh, erf and sigmoid have their limits, sin and cos have none', () => {
    expect([at('tanh', Infinity), at('tanh', -Infinity), at('tanh', -0)]).toEqual([1, -1, -0])
    expect([at('erf', Infinity), at('erf', -Infinity), at('erf', -0)]).toEqual([1, -1, -0])
    expect([at('sigmoid', Infinity), at('sigmoid', -Infinity)]).toEqual([1, 0])
    expect([at('sin', Infinity), at('cos', -Infinity)]).toEqual([Number.NaN, Number.NaN])
    expect([at('sin', -0), at('cos', 0)]).toEqual([-0, 1])
  })
})
