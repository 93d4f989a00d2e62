// The fingerprint: the known answer of this release, no kernel left out, and a difference named.

import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { wasm } from '../../src/backends/wasm/index.ts'
import { differingStages, fingerprint } from '../../src/conformance/index.ts'
import type { Backend, KernelSet } from '../../src/core/backend.ts'
import { setBackend } from '../../src/core/backend.ts'
import * as ops from '../../src/ops/index.ts'

const known = JSON.parse(
  readFileSync(new URL('../../conformance/fingerprint.json', import.meta.url), 'utf8'),
)

type AnyKernel = (...values: unknown[]) => unknown

/** Calls `change` around every kernel of the backend. */
function wrapKernels(
  backend: Backend,
  change: (name: string, kernel: AnyKernel) => AnyKernel,
): KernelSet<unknown>[] {
  const seen: KernelSet<unknown>[] = []
  const kernels = backend.kernels.bind(backend)
  backend.kernels = (<K>(set: KernelSet<K>): K => {
    seen.push(set)
    const names = Object.keys(set.reference as object)
    const own = kernels(set) as Record<string, AnyKernel>
    return Object.fromEntries(names.map(name => [name, change(name, own[name])])) as K
  }) as Backend['kernels']
  return seen
}

async function onBackend<T>(backend: Backend, fn: () => Promise<T>): Promise<T> {
  setBackend(backend)
  try {
    return await fn()
  } finally {
    setBackend(undefined)
  }
}

/** All kernels that exported ops name, and those of the sets that were asked for. */
function kernelNames(seen: readonly KernelSet<unknown>[]): Set<string> {
  const sets = Object.values(ops).flatMap(op =>
    typeof op === 'function' && 'definition' in op ? [op.definition as KernelSet<unknown>] : [],
  )
  return new Set([...sets, ...seen].flatMap(set => Object.keys(set.reference as object)))
}

describe('fingerprint', () => {
  it('is the known answer', async () => {
    expect(await onBackend(wasm(), () => fingerprint({ seed: known.seed }))).toEqual(known.stages)
  })

  it('touches every kernel', async () => {
    const backend = wasm()
    const called = new Set<string>()
    const seen = wrapKernels(backend, (name, kernel) => (...values) => {
      called.add(name)
      return kernel(...values)
    })
    await onBackend(backend, () => fingerprint())
    const missing = [...kernelNames(seen)].filter(name => !called.has(name))
    expect(missing).toEqual([])
  })

  it('names the op whose kernel differs, before anything that uses it', async () => {
    const backend = wasm()
    wrapKernels(backend, (name, kernel) => (...values) => {
      if (name === 'silu') {
        // One more pass over the input: another function of the same signature.
        kernel(...values)
        return kernel(values[1], ...values.slice(1))
      }
      return kernel(...values)
    })
    const stages = await onBackend(backend, () => fingerprint({ seed: known.seed }))
    expect(differingStages(stages, known.stages)).toEqual(['op silu', 'all'])
  })

  it('depends on the seed', async () => {
    const stages = await onBackend(wasm(), () => fingerprint({ seed: 1 }))
    const same = stages.filter(({ hash }, i) => hash === known.stages[i].hash)
    expect(same).toEqual([])
  })
})
