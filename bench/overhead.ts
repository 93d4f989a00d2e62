// What recording costs: microseconds per op, forward and backward, on tensors of four elements, as the slope
// of the time of a step over the length of a chain of ops: npm run build && npx tsx bench/overhead.ts [--json FILE]
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { add, backward, mul, silu, step, sum, type Tensor, tensor } from 'lowrank'
import { timeAll } from './kernels/samples.ts'

const x = tensor([1, 2, 3, 4], [4], { requiresGrad: true })
const y = tensor([0.5, 0.5, 0.5, 0.5], [4])

const OPS: Record<string, (h: Tensor) => Tensor> = {
  add: h => add(h, y),
  mul: h => mul(h, y),
  silu: h => silu(h),
}

function chain(op: (h: Tensor) => Tensor, length: number): () => void {
  return () => {
    step(() => {
      let h: Tensor = x
      for (let i = 0; i < length; i++) {
        h = op(h)
      }
      backward(sum(h))
    })
  }
}

const [SHORT, LONG] = [10, 210]
const rows = Object.entries(OPS).map(([name, op]) => {
  const [short, long] = timeAll([chain(op, SHORT), chain(op, LONG)], 21)
  return { name, microseconds: ((long.median - short.median) / (LONG - SHORT)) * 1e6 }
})
for (const { name, microseconds } of rows) {
  console.log(`${name.padEnd(6)} ${microseconds.toFixed(2)} µs per op, forward and backward`)
}
const { values } = parseArgs({ options: { json: { type: 'string' } } })
if (values.json) {
  const worst = Math.max(...rows.map(({ microseconds }) => microseconds))
  writeFileSync(values.json, `${JSON.stringify({ rows, worst }, null, 1)}\n`)
}
