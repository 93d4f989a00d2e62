import { afterAll, describe, expect, it } from 'vitest'
import * as math from '../../src/core/math.ts'
import { Random } from '../../src/core/rng.ts'
import { exact, exactPow, ulps } from '../support/exact.ts'

// The bounds are those that the TSDoc of each function states. LOWRANK_REPEAT multiplies the number
// of points; with more than 1 the largest errors are printed.
const REPEAT = Number(process.env.LOWRANK_REPEAT ?? 1)
const COUNT = 400 * REPEAT

type Draw = (random: Random) => number

const uniform =
  (low: number, high: number): Draw =>
  random =>
    random.uniformBetween(low, high)

/** 2^a for a uniform a, positive. */
const positive =
  (low: number, high: number): Draw =>
  random =>
    2 ** random.uniformBetween(low, high)

const either =
  (low: number, high: number): Draw =>
  random =>
    (random.integer(2) === 0 ? -1 : 1) * 2 ** random.uniformBetween(low, high)

/** Doubles next to multiples of π/2, where the reduction of sin and cos cancels. */
const quarterTurns: Draw = random =>
  random.integer(2 ** random.integer(30)) * (Math.PI / 2) * (1 + random.integer(3) * 2 ** -52)

const TRIGONOMETRIC = [either(-60, 3), uniform(-10, 10), uniform(-1e6, 1e6), quarterTurns]

const CASES: Record<string, { bound: number; draws: Draw[] }> = {
  exp: { bound: 0.8, draws: [uniform(-745, 709.7), uniform(-1, 1), either(-60, 3)] },
  expm1: { bound: 1.1, draws: [uniform(-40, 709), uniform(-1.1, 1.1), either(-60, 3)] },
  log: { bound: 0.9, draws: [positive(-1074, 1024), positive(-1, 1), positive(-1e-3, 1e-3)] },
  log1p: {
    bound: 0.9,
    draws: [positive(-60, 1000), uniform(-1, 1), uniform(-0.31, -0.28), either(-60, -2)],
  },
  sin: { bound: 0.9, draws: [...TRIGONOMETRIC, either(20, 1023)] },
  cos: { bound: 0.9, draws: [...TRIGONOMETRIC, either(20, 1023)] },
  sinTurns: { bound: 0.9, draws: [uniform(0, 1), uniform(-100, 100), uniform(-5e8, 5e8)] },
  cosTurns: { bound: 0.9, draws: [uniform(0, 1), uniform(-100, 100), uniform(-5e8, 5e8)] },
  tanh: { bound: 0.8, draws: [uniform(-20, 20), uniform(-1, 1), either(-60, 5)] },
  sigmoid: { bound: 0.8, draws: [uniform(-745, 40), uniform(-40, 40), uniform(-2, 2)] },
  erf: { bound: 1, draws: [uniform(-6.2, 6.2), uniform(-1.2, 1.2), either(-60, 3)] },
}

const POW_BOUND = 0.8
const POW_DRAWS: [Draw, Draw][] = [
  [positive(-10, 10), uniform(-60, 60)],
  [positive(-1, 1), uniform(-700, 700)],
  [positive(-1e-5, 1e-5), either(20, 26)],
  [uniform(0.9, 1), uniform(0, 1e4)],
  [positive(-1074, 1024), uniform(-1, 1)],
  [positive(-30, -20), uniform(34, 50)],
]

const functions = math as unknown as Record<string, (x: number) => number>
const measured: Record<string, number> = {}

function worst(name: string, draw: Draw): { error: number; x: number } {
  const random = new Random(20, name)
  let most = { error: 0, x: 0 }
  for (let i = 0; i < COUNT; i++) {
    const x = draw(random)
    const want = exact[name](x)
    const error = want.value === 0n ? 0 : ulps(functions[name](x), want)
    most = error > most.error ? { error, x } : most
  }
  measured[name] = Math.max(measured[name] ?? 0, most.error)
  return most
}

afterAll(() => {
  if (REPEAT > 1) {
    console.table(measured)
  }
})

describe('accuracy', () => {
  for (const [name, { bound, draws }] of Object.entries(CASES)) {
    it(`${name} is at most ${bound} ulp off`, () => {
      draws.forEach(draw => {
        const { error, x } = worst(name, draw)
        expect(error, `${name}(${x})`).toBeLessThanOrEqual(bound)
      })
    }, 300_000)
  }

  it(`pow is at most ${POW_BOUND} ulp off`, () => {
    const random = new Random(20, 'pow')
    let most = 0
    for (const [drawX, drawY] of POW_DRAWS) {
      for (let i = 0; i < COUNT; i++) {
        const x = drawX(random)
        const y = drawY(random)
        const power = math.pow(x, y)
        if (power !== 0 && power !== Number.POSITIVE_INFINITY) {
          most = Math.max(most, ulps(power, exactPow(x, y)))
        }
        expect(most, `pow(${x}, ${y})`).toBeLessThanOrEqual(POW_BOUND)
      }
    }
    measured['pow'] = most
  }, 300_000)

  it('reduces the double that is closest to a multiple of π/2', () => {
    const x = 6381956970095103 * 2 ** 797
    expect(ulps(math.cos(x), exact['cos'](x))).toBeLessThan(1)
    expect(ulps(math.sin(x), exact['sin'](x))).toBeLessThan(1)
  })
})

const EDGES = [0, 5e-324, 2.2e-308, 2.3e-308, 1e-300, 1e-20, 0.5, 1, 2, 3, 40, 709, 710, 745, 746]
const SPECIAL = [
  ...EDGES,
  1e5,
  2 ** 53,
  1e22,
  1e300,
  Number.MAX_VALUE,
  Infinity,
  Number.NaN,
].flatMap(x => [x, -x])

/** The value that every engine gives: a zero, ±1, ±∞ or NaN. */
function isPlain(y: number): boolean {
  return !Number.isFinite(y) || y === 0 || Math.abs(y) === 1
}

/** Correct where Math is exact, else 2 ulp from Math, which is 1 ulp off itself. */
function expectLikeMath(where: string, got: number, want: number): void {
  if (isPlain(want)) {
    expect(got, where).toBe(want)
    return
  }
  const last = Math.max(Math.abs(want) * 2 ** -52, 5e-324)
  expect(Math.abs(got - want), where).toBeLessThanOrEqual(2 * last)
}

describe('special values', () => {
  for (const name of ['exp', 'expm1', 'log', 'log1p', 'sin', 'cos', 'tanh'] as const) {
    it(`${name} has those of Math.${name}`, () => {
      SPECIAL.forEach(x => {
        expectLikeMath(`${name}(${x})`, functions[name](x), Math[name](x))
      })
    })
  }

  it('pow has those of Math.pow', () => {
    const odd = [1, 3, 2 ** 53 - 1, 0.5, 1.5, 2, 2 ** 53, 1 / 3].flatMap(y => [y, -y])
    SPECIAL.forEach(x => {
      for (const y of [...SPECIAL, ...odd]) {
        expectLikeMath(`pow(${x}, ${y})`, math.pow(x, y), x ** y)
      }
    })
  })

  it('sigmoid and erf have limits, and pass NaN on', () => {
    const sigmoid = [-Infinity, -746, -0, 0, 40, Infinity, Number.NaN].map(math.sigmoid)
    expect(sigmoid).toEqual([0, 0, 0.5, 0.5, 1, 1, Number.NaN])
    const erf = [-Infinity, -7, -0, 0, 7, Infinity, Number.NaN].map(math.erf)
    expect(erf).toEqual([-1, -1, -0, 0, 1, 1, Number.NaN])
    expect(math.sigmoid(-745)).toBe(5e-324)
    expect(math.erf(5e-324)).toBe(5e-324)
  })

  it('sinTurns and cosTurns are exact at quarter turns', () => {
    const quarters = [0, 0.25, 0.5, 0.75, 1, 1.25]
    // Adding 0 makes -0, which is right too, a 0.
    expect(quarters.map(t => math.sinTurns(t) + 0)).toEqual([0, 1, 0, -1, 0, 1])
    expect(quarters.map(t => math.cosTurns(t) + 0)).toEqual([1, 0, -1, 0, 1, 0])
  })
})

describe('shape', () => {
  const random = new Random(21)
  const points = Array.from({ length: 2000 }, () => random.uniformBetween(-30, 30))

  it('sin, tanh and erf are odd, cos is even, to the bit', () => {
    points.forEach(x => {
      expect(math.sin(-x)).toBe(-math.sin(x))
      expect(math.tanh(-x)).toBe(-math.tanh(x))
      expect(math.erf(-x)).toBe(-math.erf(x))
      expect(math.cos(-x)).toBe(math.cos(x))
    })
  })

  it('gives the same bits on every engine', () => {
    const results = Object.keys(CASES).flatMap(name => points.map(x => functions[name](x)))
    const powers = points.map((x, i) => math.pow(Math.abs(x), points[points.length - 1 - i]))
    // log and log1p of negative numbers are NaN, whose payloads differ.
    const all = Float64Array.from([...results, ...powers], y => (Number.isNaN(y) ? 0 : y))
    const hash = new Uint32Array(all.buffer).reduce(
      (sum, word) => Math.imul(sum ^ word, 0x01000193),
      0x811c9dc5,
    )
    expect((hash >>> 0).toString(16)).toBe('4f52c233')
  })

  it('exact powers are exact', () => {
    for (let n = 0; n <= 30; n++) {
      expect(math.pow(3, n)).toBe(3 ** n)
      expect(math.pow(2, 30 * n - 500)).toBe(2 ** (30 * n - 500))
    }
    expect(math.pow(10, -2)).toBe(0.01)
    expect(math.pow(6.25, 0.5)).toBe(2.5)
  })
})
