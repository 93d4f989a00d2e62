// Whether an engine computed what the reference engine did: products, losses and gradients to 1e-4,
// trained parameters to 2e-3 (AdamW divides by the root of small squares: float32 against float64 of one
// engine differ by 1.4e-4 there). Distances are the largest of any element, relative to the largest element
// of the reference.
import { readFileSync } from 'node:fs'

/** A weight rounded to bfloat16 is off by up to 2⁻⁹ of itself, and these errors are independent. */
const BF16 = 2 ** -8

const TOLERANCE = { product: 1e-4, losses: 1e-4, gradients: 1e-4, parameters: 2e-3 }

function arraysOf({ path, tensors }) {
  const { buffer, byteOffset, length } = readFileSync(path)
  const all = new Float32Array(buffer.slice(byteOffset, byteOffset + length))
  let at = 0
  return Object.fromEntries(
    tensors.map(({ tensor, length }) => [tensor, all.subarray(at, (at += length))]),
  )
}

/** The largest difference over the largest element. */
function distance(got, want) {
  let [most, size] = [0, 0]
  if (got?.length !== want.length) {
    return Number.POSITIVE_INFINITY
  }
  for (let i = 0; i < want.length; i++) {
    const apart = Math.abs(got[i] - want[i])
    most = apart > most || Number.isNaN(apart) ? apart : most
    size = Math.max(size, Math.abs(want[i]))
  }
  return Number.isNaN(most) ? Number.POSITIVE_INFINITY : most / (size || 1)
}

/** What differs by more than it may, in words; empty where the engines agree. */
export function disagreements(got, want, engine) {
  const problems = []
  const compare = (what, tensor, a, b) => {
    const apart = distance(a, b)
    if (!(apart <= (engine.endsWith('bf16') ? BF16 : TOLERANCE[what]))) {
      problems.push(`${what} ${tensor}: ${apart.toExponential(1)} apart`)
    }
  }
  for (const what of Object.keys(TOLERANCE)) {
    if (what === 'losses') {
      want.losses?.forEach((loss, i) => {
        compare('losses', i + 1, [got.losses[i]], [loss])
      })
    } else if (want[what]) {
      const [a, b] = [arraysOf(got[what]), arraysOf(want[what])]
      for (const [tensor, values] of Object.entries(b)) {
        compare(what, tensor, a[tensor], values)
      }
    }
  }
  return problems
}
