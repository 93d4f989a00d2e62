// How the backend starts where things are not as usual: modules that someone else compiled, also in
// another realm; WASM that is refused; memory that cannot grow; tensors of another copy.

import { runInNewContext } from 'node:vm'
import { add, matmul, tensor, withBackend } from 'lowrank'
import { wasm } from 'lowrank/wasm'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { binary as arithmetic } from '../../../src/backends/wasm/binaries/arithmetic.ts'
import { binary as core } from '../../../src/backends/wasm/binaries/core.ts'
import type { Backend } from '../../../src/core/backend.ts'

const four = (backend: Backend): number[] =>
  withBackend(backend, () => {
    const a = tensor([1, 2, 3, 4], [2, 2])
    return [...matmul(a, a).dataSync()]
  })

const PRODUCT = [7, 10, 15, 22]

describe('modules that someone else compiled', () => {
  it('are used, also from another realm', () => {
    const bytes = core.bytes?.()
    const foreign = runInNewContext('new WebAssembly.Module(bytes)', {
      bytes,
    }) as WebAssembly.Module
    expect(foreign instanceof WebAssembly.Module).toBe(false)
    const compile = vi.spyOn(core, 'module')
    expect(four(wasm({ modules: { core: foreign } }))).toEqual(PRODUCT)
    expect(compile).not.toHaveBeenCalled()
    compile.mockRestore()
  })

  it('are all named where they are none', () => {
    const modules = { core: {}, transformer: new Uint8Array(8) } as never
    expect(() => wasm({ modules })).toThrow(/2 problems\n.*modules\.core.*\n.*modules\.transformer/)
  })
})

describe('memory that cannot grow', () => {
  it('is an error that says how much there is, and what fits goes on', () => {
    const backend = wasm({ maximumBytes: 4 * 1024 * 1024 })
    const large = (): unknown => withBackend(backend, () => matmul(square(2048), square(2048)))
    expect(large).toThrowError(/cannot grow beyond \d+ bytes/)
    expect(large).toThrowError(expect.objectContaining({ code: 'memory' }))
    expect(backend.memory().reserved).toBeLessThanOrEqual(4 * 1024 * 1024)
    expect(four(backend)).toEqual(PRODUCT)
  })
})

const square = (size: number): ReturnType<typeof tensor> =>
  tensor(new Float32Array(size * size), [size, size])

/** The package afresh, as it is before anything was computed. */
async function afresh(): Promise<typeof import('../../../src/index.ts')> {
  vi.resetModules()
  return import('../../../src/index.ts')
}

describe('where WASM is refused', () => {
  afterEach(() => {
    vi.unstubAllGlobals()
    vi.restoreAllMocks()
  })

  const refusing = {
    ...WebAssembly,
    Memory: WebAssembly.Memory,
    Module: class {
      constructor() {
        throw new EvalError('code generation is not allowed')
      }
    },
  }

  it.each([
    ['by a policy', refusing],
    ['by the engine', undefined],
  ])('%s: inference goes on after one warning, training throws', async (_who, webAssembly) => {
    vi.stubGlobal('WebAssembly', webAssembly)
    const warn = vi.spyOn(console, 'warn').mockReturnValue()
    const fresh = await afresh()
    const a = fresh.tensor([1, 2, 3, 4], [2, 2])
    expect([...fresh.matmul(a, a).dataSync()]).toEqual(PRODUCT)
    expect([...fresh.matmul(a, a).dataSync()]).toEqual(PRODUCT)
    expect(warn).toHaveBeenCalledTimes(1)
    expect(warn.mock.calls[0][0]).toMatch(/Inference goes on.*setBackend\(reference\(\)\)/)
    const model = fresh.attach(new fresh.Linear(2, 2), { r: 1 })
    const optimizer = new fresh.AdamW(model.trainable(), { lr: 1 })
    const train = fresh.trainStep(optimizer, () => fresh.sum(model.forward(a)))
    await expect(train).rejects.toThrowError(/reference\(\)/)
  })
})

describe('where nothing is compiled at run time', () => {
  it('names the family that an op needs, and its file', () => {
    const backend = wasm({ modules: { core: core.module() } })
    const compile = vi.spyOn(arithmetic, 'module').mockImplementation(() => {
      throw new EvalError('code generation is not allowed')
    })
    expect(four(backend)).toEqual(PRODUCT)
    const sums = () => withBackend(backend, () => add(square(2), square(2)))
    expect(sums).toThrowError(
      /the arithmetic kernels cannot be compiled.*lowrank\/wasm\/arithmetic\.wasm: wasm\(\{ modules: \{ arithmetic \} \}\)/,
    )
    compile.mockRestore()
  })
})

describe('two copies of the package in one process', () => {
  it('do not mix their tensors', async () => {
    const other = await afresh()
    const [ours, theirs] = [tensor([1], [1, 1]), other.tensor([1], [1, 1])]
    const mixed = () => matmul(ours, theirs as never)
    expect(mixed).toThrowError(/two copies/)
    expect(() => matmul(theirs as never, theirs as never)).toThrowError(/two copies/)
  })
})
