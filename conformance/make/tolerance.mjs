// How far an answer may be off. In float64: 1e-12, room for another order of summation in cases of this
// size (sums of at most a few hundred terms, 2⁻⁵³ each). In float32: 16 times what the outputs change by
// when every input is moved by one rounding, 2⁻²⁴ of itself, up or down as the generator says; and at
// least 2e-6, 32 such roundings, for what the sums lose themselves.

import { words } from './philox.mjs'

const LEAST = 2e-6
const TRIALS = 4

export function scaledError(got, want) {
  const finite = want.map((value, i) => [value, got[i]]).filter(([value]) => Number.isFinite(value))
  const off = Math.max(0, ...finite.map(([value, other]) => Math.abs(value - other)))
  const most = Math.max(0, ...finite.map(([value]) => Math.abs(value)))
  return most > 0 ? off / most : off
}

function moved(inputs, trial) {
  const entries = Object.entries(inputs).map(([name, tensor], number) => {
    const signs = words(trial, number, tensor.data.length)
    const data = tensor.data.map((value, i) => value * (1 + (signs[i] % 2 ? 1 : -1) * 2 ** -24))
    return [name, tensor.dtype === 'I64' ? tensor : { ...tensor, data }]
  })
  return Object.fromEntries(entries)
}

/** One digit, rounded up. */
function oneDigit(value) {
  const power = 10 ** Math.floor(Math.log10(value))
  return Number((Math.ceil(value / power - 1e-9) * power).toPrecision(1))
}

export function tolerances(inputs, compute) {
  const want = compute(inputs)
  let worst = 0
  for (let trial = 1; trial <= TRIALS; trial++) {
    const got = compute(moved(inputs, trial))
    for (const [name, { data }] of Object.entries(want)) {
      worst = Math.max(worst, scaledError(got[name].data, data))
    }
  }
  const f32 = oneDigit(Math.max(LEAST, 16 * worst))
  if (!(f32 < 1e-3)) {
    throw new Error(`a case so ill-conditioned (${f32}) says little: choose other inputs`)
  }
  return { f64: 1e-12, f32 }
}
