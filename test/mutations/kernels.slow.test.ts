// Would the tests notice a fault in a kernel? Each fault of the list is compiled into its family's
// binary, and a backend with that binary must fail: a sample that leaves its tolerance against the
// reference loops, or a stored case of an optimizer.

import { readFileSync } from 'node:fs'
import asc from 'assemblyscript/asc'
import { describe, expect, it } from 'vitest'
import { memoryBase } from '../../scripts/static-data.mjs'
import { reference } from '../../src/backends/reference/index.ts'
import { wasm } from '../../src/backends/wasm/index.ts'
import { checkCase, library, passes, scaledError } from '../../src/conformance/index.ts'
import {
  draw,
  inputsOf,
  SAMPLES,
  type Sample,
  sampleName,
} from '../../src/conformance/samples/index.ts'
import { type Backend, withBackend } from '../../src/core/backend.ts'
import { Random } from '../../src/core/rng.ts'
import { backward, step } from '../../src/core/tape.ts'
import { tensor } from '../../src/core/tensor.ts'
import { familyCases } from '../support/conformance.ts'
import { KERNEL_FAULTS, type KernelFault } from './kernel_faults.ts'

const root = new URL('../../', import.meta.url)

/** The binary of a family from sources in which `change` has replaced something. */
async function compiled(family: string, change: (path: string, text: string) => string) {
  let binary: Uint8Array | undefined
  const path = `assembly/${family}/index.ts`
  const flags = ['--config', 'asconfig.json', '--target', family, '--outFile', 'out.wasm']
  const base = ['--memoryBase', String(memoryBase(family))]
  const { error, stderr } = await asc.main([path, ...flags, ...base], {
    readFile: (name, base) => {
      try {
        const from = base === '.' ? root : new URL(`${base}/`, root)
        return change(name, readFileSync(new URL(name, from), 'utf8'))
      } catch {
        return null
      }
    },
    writeFile: (name, contents) => {
      if (name === 'out.wasm') {
        binary = contents as Uint8Array
      }
    },
    listFiles: () => [],
  })
  if (error || !binary) {
    throw new Error(`${family}: ${error?.message}\n${stderr.toString()}`)
  }
  return new WebAssembly.Module(Uint8Array.from(binary))
}

async function faulty({ file, from, to }: KernelFault): Promise<Backend> {
  const family = file.split('/')[0]
  let planted = false
  const module = await compiled(family, (path, text) => {
    if (!path.endsWith(file)) {
      return text
    }
    planted = text.includes(from)
    return text.replace(from, to)
  })
  expect(planted, `${file} has ${JSON.stringify(from)}`).toBe(true)
  return wasm({ modules: { [family]: module } })
}

function outcome(sample: Sample, backend: Backend): ArrayLike<number>[] {
  return withBackend(backend, () => {
    const inputs = inputsOf(sample, draw(sample, 1), backend)
    const random = new Random(1, 'dy')
    const y = step(() => {
      const result = sample.call(...inputs)
      if (result.requiresGrad) {
        const dy = Float32Array.from({ length: result.size }, () => random.uniform() * 2 - 1)
        backward(result, tensor(dy, result.shape))
      }
      return result
    })
    return [y.dataSync(), ...inputs.map(({ grad }) => grad?.dataSync() ?? [])]
  })
}

const wanted = new Map(SAMPLES.map(sample => [sample, outcome(sample, reference())] as const))
const optimizers = await familyCases('optim')

/** Samples of ops that are not what the reference computes. */
function wrongSamples(backend: Backend): string[] {
  return SAMPLES.filter(sample => {
    const want = wanted.get(sample) as ArrayLike<number>[]
    try {
      const got = outcome(sample, backend)
      return got.some((values, i) => !(scaledError(values, want[i]) <= (sample.tolerance ?? 4e-6)))
    } catch {
      return true
    }
  }).map(sampleName)
}

async function wrongCases(backend: Backend): Promise<string[]> {
  const wrong: string[] = []
  for (const example of optimizers) {
    const checks = await checkCase(example, library(backend))
    if (!checks.every(passes)) {
      wrong.push(example.name)
    }
  }
  return wrong
}

describe('faults planted in the kernels', () => {
  it('are none in what is shipped', async () => {
    const backend = wasm()
    expect([...wrongSamples(backend), ...(await wrongCases(backend))]).toEqual([])
  })

  it.each(KERNEL_FAULTS)('$name: caught', async fault => {
    const backend = await faulty(fault)
    const wrong = wrongSamples(backend)
    const caught = wrong.length > 0 ? wrong : await wrongCases(backend)
    expect(caught.length).toBeGreaterThan(0)
  })
})
