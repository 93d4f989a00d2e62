// Threads: the same bits as one thread for every kernel that is split and for training, workers that
// really compute, and clear errors where threads cannot be had.

import { setTimeout as pause } from 'node:timers/promises'
import { AdamW, attach, manualSeed, setBackend, trainStep, withBackend } from 'lowrank'
import { memoryDirectory } from 'lowrank/io'
import { saveAdapter } from 'lowrank/lora'
import { LlamaForCausalLM, readLlamaConfig } from 'lowrank/models'
import { wasm } from 'lowrank/wasm'
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { binary as adafactor } from '../../../src/backends/wasm/binaries/adafactor.ts'
import { binary as core } from '../../../src/backends/wasm/binaries/core.ts'
import { binary as transformer } from '../../../src/backends/wasm/binaries/transformer.ts'
import { ThreadedBackend } from '../../../src/backends/wasm/threads/backend.ts'
import { withSharedMemory } from '../../../src/backends/wasm/threads/shared_import.ts'
import type { Backend } from '../../../src/core/backend.ts'
import { Parameter } from '../../../src/core/parameter.ts'
import { step } from '../../../src/core/tape.ts'
import { type Tensor, tensor } from '../../../src/core/tensor.ts'
import { backward, crossEntropy, linear, matmul, mul, rmsNorm, sum } from '../../../src/index.ts'
import { scaledDotProductAttention, swiglu } from '../../../src/ops/index.ts'

const values = (count: number, seed: number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => (((i + seed) * 7919) % 2003) / 1000 - 1)

/** Milliseconds that a worker may take to come by. */
const PATIENCE = 20_000

/** What a job computes: forward and gradients, all as plain numbers. */
type Job = () => number[][]

const same = (got: number[][], want: number[][]): boolean => String(got) === String(want)

/** y and the gradients of the inputs, with an upstream gradient that is different everywhere. */
function traced(shapes: readonly (readonly number[])[], fn: (inputs: Tensor[]) => Tensor): Job {
  return () => {
    const inputs = shapes.map((shape, i) => {
      const count = shape.reduce((a, b) => a * b, 1)
      return tensor(values(count, i), shape, { requiresGrad: true })
    })
    const y = step(() => {
      const out = fn(inputs)
      backward(sum(mul(out, tensor(values(out.size, 9), out.shape))))
      return out
    })
    return [y, ...inputs.map(x => x.grad as Tensor)].map(x => [...x.dataSync()])
  }
}

/** A frozen weight is packed into panels: products with it in both directions. */
function frozenLinear(): number[][] {
  const w = new Parameter(values(136 * 96, 3), [136, 96])
  w.freeze()
  return traced([[150, 96]], ([x]) => linear(x, w))()
}

const heads = (B: number, T: number, H: number): readonly number[] => [B, T, H, 16]

const JOBS: Readonly<Record<string, Job>> = {
  'a product': traced(
    [
      [130, 70],
      [70, 90],
    ],
    ([a, b]) => matmul(a, b),
  ),
  'a product with b transposed': traced(
    [
      [131, 70],
      [90, 70],
    ],
    ([a, b]) => matmul(a, b, { transposeB: true }),
  ),
  'a product with a transposed': traced(
    [
      [70, 131],
      [70, 90],
    ],
    ([a, b]) => matmul(a, b, { transposeA: true }),
  ),
  'few rows, many columns': traced(
    [
      [3, 300],
      [1201, 300],
    ],
    ([a, b]) => matmul(a, b, { transposeB: true }),
  ),
  'one row': traced(
    [
      [1, 300],
      [2001, 300],
    ],
    ([a, b]) => matmul(a, b, { transposeB: true }),
  ),
  'a frozen weight': frozenLinear,
  'attention over a batch': traced(
    [heads(3, 70, 4), heads(3, 70, 2), heads(3, 70, 2)],
    ([q, k, v]) => scaledDotProductAttention(q, k, v, { isCausal: true, enableGqa: true }),
  ),
  'attention of one entry': traced(
    [heads(1, 90, 6), heads(1, 90, 2), heads(1, 90, 2)],
    ([q, k, v]) => scaledDotProductAttention(q, k, v, { isCausal: true, enableGqa: true }),
  ),
  'attention with a mask that is trained': traced(
    [heads(3, 70, 4), heads(3, 70, 4), heads(3, 70, 4), [70, 70]],
    ([q, k, v, attnMask]) => scaledDotProductAttention(q, k, v, { mask: attnMask }),
  ),
  'a tensor used twice': traced([[300, 300]], ([x]) => mul(x, x)),
  'rms norm': traced([[400, 200], [200]], ([x, w]) => rmsNorm(x, w)),
  swiglu: traced(
    [
      [190, 200],
      [190, 200],
    ],
    ([gate, up]) => swiglu(gate, up),
  ),
  'cross-entropy': traced([[190, 200]], ([logits]) => {
    const target = tensor(
      Int32Array.from({ length: 190 }, (_, i) => (i * 7) % 200),
      [190],
      {
        dtype: 'int32',
      },
    )
    return crossEntropy(logits, target, { labelSmoothing: 0.1 })
  }),
}

/** Waits until the workers are there: they start with the first large product. */
async function warm(backend: ThreadedBackend): Promise<ThreadedBackend> {
  for (let tries = 0; backend.workers === 0 && tries < 500; tries++) {
    for (const job of Object.values(JOBS)) {
      withBackend(backend, job)
    }
    await pause(10)
  }
  expect(backend.workers).toBe(backend.threads - 1)
  return backend
}

describe('threads', () => {
  const backends: ThreadedBackend[] = []

  beforeAll(async () => {
    for (const threads of [2, 3]) {
      backends.push(await warm(new ThreadedBackend(core, threads, undefined)))
    }
    return () => backends.forEach(backend => void backend.dispose())
  })

  it.each(Object.entries(JOBS))('%s: workers take rows, the bits stay', async (_name, job) => {
    const want = withBackend(wasm(), job)
    for (const backend of backends) {
      const before = backend.computedByWorkers
      // On a busy machine a worker may come too late for many calls.
      const until = Date.now() + PATIENCE
      do {
        expect(same(withBackend(backend, job), want)).toBe(true)
      } while (backend.computedByWorkers === before && Date.now() < until)
      expect(backend.computedByWorkers).toBeGreaterThan(before)
    }
  })

  it('gives the same adapter, byte for byte', async () => {
    const want = await trainedAdapter(wasm())
    for (const backend of backends) {
      expect(await trainedAdapter(backend)).toEqual(want)
    }
  })

  it('computes alone once disposed', async () => {
    const backend = await warm(new ThreadedBackend(core, 2, undefined))
    const job = JOBS['a product']
    const want = withBackend(wasm(), job)
    backend.dispose()
    const before = backend.computedByWorkers
    expect(withBackend(backend, job)).toEqual(want)
    expect(backend.computedByWorkers).toBe(before)
    expect(backend.workers).toBe(0)
  })

  it('starts no worker for small work', async () => {
    const backend = new ThreadedBackend(core, 2, undefined)
    const small = traced(
      [
        [4, 8],
        [8, 4],
      ],
      ([a, b]) => matmul(a, b),
    )
    withBackend(backend, small)
    await pause(100)
    expect(backend.started).toBe(false)
  })
})

async function trainedAdapter(backend: Backend): Promise<Uint8Array> {
  setBackend(backend)
  try {
    manualSeed(4)
    const config = readLlamaConfig('threads', {
      vocab_size: 96,
      hidden_size: 64,
      intermediate_size: 160,
      num_hidden_layers: 2,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      max_position_embeddings: 64,
    })
    const model = attach(new LlamaForCausalLM(config), { r: 4, targetModules: 'all-linear' })
    const optimizer = new AdamW(model.trainable(), { lr: 1e-2 })
    const ids = Int32Array.from({ length: 4 * 48 }, (_, i) => (i * 31) % 96)
    const tokens = tensor(ids, [4, 48], { dtype: 'int32' })
    for (let i = 0; i < 4; i++) {
      await trainStep(optimizer, () => model.loss(tokens, tokens))
    }
    const files = memoryDirectory()
    await saveAdapter(model, files)
    return await files.read('adapter_model.safetensors')
  } finally {
    setBackend(undefined)
  }
}

describe('where threads cannot be had', () => {
  afterEach(() => {
    vi.unstubAllGlobals()
    vi.restoreAllMocks()
  })

  it.each([0, -1, 1.5, 34, Number.NaN])('refuses %s threads', threads => {
    expect(() => wasm({ threads })).toThrow(/threads: expected a whole number from 1 to 33/)
  })

  it('says how a page is isolated', () => {
    vi.stubGlobal('SharedArrayBuffer', undefined)
    expect(() => wasm({ threads: 2 })).toThrow(/Cross-Origin-Opener-Policy/)
  })

  it('says that there are no workers', () => {
    vi.spyOn(process, 'getBuiltinModule').mockReturnValue(undefined as never)
    expect(() => wasm({ threads: 2 })).toThrow(/need workers/)
  })

  it('refuses modules beside threads', () => {
    const modules = { core: core.module() }
    expect(() => wasm({ threads: 2, modules })).toThrow(/got both/)
  })

  it('computes alone where a worker dies', async () => {
    const warn = vi.spyOn(console, 'warn').mockReturnValue()
    class Broken {
      constructor() {
        throw new Error('refused by the page')
      }
    }
    vi.spyOn(process, 'getBuiltinModule').mockReturnValue({ Worker: Broken } as never)
    const backend = wasm({ threads: 2 })
    const job = JOBS['a product']
    expect(withBackend(backend, job)).toEqual(withBackend(wasm(), job))
    withBackend(backend, job)
    expect(warn).toHaveBeenCalledTimes(1)
    expect(warn.mock.calls[0][0]).toMatch(/refused by the page.*computes alone/)
  })
})

describe('a binary for shared memory', () => {
  it.each([core, transformer, adafactor])('$name: only its import changes', binary => {
    const bytes = binary.bytes?.() as Uint8Array
    const shared = withSharedMemory(bytes)
    // One maximum of three bytes more.
    expect(shared.length).toBe(bytes.length + 3)
    const memory = new WebAssembly.Memory({ initial: 2, maximum: 65536, shared: true })
    const sharedCore = new WebAssembly.Module(withSharedMemory(core.bytes?.() as Uint8Array))
    const imports = {
      env: { memory },
      core: new WebAssembly.Instance(sharedCore, { env: { memory } }).exports,
    }
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(shared), imports)
    expect(Object.keys(exports)).toEqual(
      WebAssembly.Module.exports(binary.module()).map(({ name }) => name),
    )
  })

  it('refuses a module without imports', () => {
    const empty = Uint8Array.from([0, 97, 115, 109, 1, 0, 0, 0])
    expect(() => withSharedMemory(empty)).toThrow(/got no import/)
  })
})
