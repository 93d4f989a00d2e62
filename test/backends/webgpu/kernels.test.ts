// Every kernel of the interface has a WebGPU form with as many parameters as its reference loops, and the
// whole is at most 25 KB gzipped.

import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'rolldown'
import { expect, it } from 'vitest'
import { kernelSources } from '../../../src/backends/webgpu/kernels.ts'
import { arityOf } from '../../../src/backends/webgpu/program.ts'
import * as ops from '../../../src/ops/index.ts'
import { strided } from '../../../src/ops/strided.ts'
import { adafactorKernels } from '../../../src/optim/adafactor_kernels.ts'
import { gradientNorm } from '../../../src/optim/gradient_norm.ts'

type Loops = Record<string, { readonly length: number }>

function loopsOf(value: unknown): Loops {
  const { definition } = value as { definition?: { reference: Loops } }
  return definition?.reference ?? {}
}

const loops: Loops = Object.assign(
  {},
  ...Object.values(ops).map(loopsOf),
  strided.reference,
  adafactorKernels.reference,
  gradientNorm.reference,
)

it('has every kernel of the ops and optimizers', () => {
  expect(Object.keys(loops).length).toBeGreaterThan(90)
  expect(Object.keys(loops).filter(name => !kernelSources[name])).toEqual([])
})

it('takes the parameters of the reference loops', () => {
  const wrong = Object.entries(loops).filter(([name, { length }]) => {
    const source = kernelSources[name]
    // Loops that gather their parameters, and kernels of several programs, have no length to compare;
    // loops may leave trailing parameters, the scratch, unnamed.
    return typeof source !== 'function' && length > 0 && arityOf(source) < length
  })
  expect(wrong.map(([name]) => name)).toEqual([])
})

it('is at most 25 KB gzipped', async () => {
  const input = fileURLToPath(new URL('../../../src/backends/webgpu/index.ts', import.meta.url))
  const { output } = await build({ input, write: false, output: { minify: true } })
  expect(gzipSync(output[0].code).length).toBeLessThanOrEqual(25 * 1024)
})
