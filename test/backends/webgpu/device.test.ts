// What only the real backend has: steps without a read, memory that does not grow, errors that come
// later, reading by waiting.

import { describe, expect, it } from 'vitest'
import { wasm } from '../../../src/backends/wasm/index.ts'
import { type WebGpuBackend, webgpu } from '../../../src/backends/webgpu/index.ts'
import { type Backend, withBackend } from '../../../src/core/backend.ts'
import { LowrankError } from '../../../src/core/errors.ts'
import { Parameter } from '../../../src/core/parameter.ts'
import { Random } from '../../../src/core/rng.ts'
import { backward, step } from '../../../src/core/tape.ts'
import { type Tensor, tensor } from '../../../src/core/tensor.ts'
import { crossEntropy } from '../../../src/ops/cross_entropy.ts'
import { embedding } from '../../../src/ops/embedding.ts'
import { linear } from '../../../src/ops/linear.ts'
import { loraLinear } from '../../../src/ops/lora_linear.ts'
import { matmulReference } from '../../../src/ops/matmul.ts'
import { mul } from '../../../src/ops/mul.ts'
import { rmsNorm } from '../../../src/ops/rms_norm.ts'
import { sum } from '../../../src/ops/sum.ts'
import { AdamW } from '../../../src/optim/adamw.ts'
import { trainStep } from '../../../src/train/train_step.ts'
import { countedGpu, hasDawn } from '../../support/webgpu/local.ts'

const [V, C, R, T] = [32, 16, 4, 12]

function draw(shape: readonly number[], seed: number): Parameter {
  const random = new Random(seed, 'webgpu')
  const count = shape.reduce((product, size) => product * size, 1)
  return new Parameter(
    Float32Array.from({ length: count }, () => random.uniform() - 0.5),
    shape,
  )
}

/** A small model under an adapter, and its optimizer. */
function training(backend: Backend) {
  return withBackend(backend, () => {
    const [table, weight, head] = [draw([V, C], 1), draw([C, C], 2), draw([V, C], 3)]
    for (const frozen of [table, weight, head]) {
      frozen.freeze()
    }
    const [A, B] = [draw([R, C], 4), draw([C, R], 5)]
    const optimizer = new AdamW([A, B], { lr: 0.01 })
    const loss = (n: number): Tensor => {
      const ids = Int32Array.from({ length: T }, (_, i) => (i * 7 + n) % V)
      const index = tensor(ids, [T], { dtype: 'int32' })
      const target = tensor(
        ids.map(id => (id + 1) % V),
        [T],
        { dtype: 'int32' },
      )
      const x = rmsNorm(embedding(index, table))
      const y = loraLinear(x, weight, undefined, [{ A, B, scale: 2 }])
      return crossEntropy(linear(y, head), target)
    }
    return { optimizer, loss, parameters: [A, B] }
  })
}

type Training = ReturnType<typeof training>

/** One step that reads nothing. */
function silentStep(backend: WebGpuBackend, { optimizer, loss }: Training, n: number): Tensor {
  return withBackend(backend, () => {
    const value = step(() => {
      const y = loss(n)
      backward(y)
      return y
    })
    optimizer.step({ maxGradNorm: 1, losses: [value] })
    optimizer.zeroGrad()
    return value
  })
}

const turn = (): Promise<void> => new Promise(resolve => setTimeout(resolve, 0))

describe.runIf(hasDawn())('webgpu', () => {
  it('takes 100 steps without a read, two submits each at most, creating nothing after two', async () => {
    const { gpu, counts } = await countedGpu()
    const backend = await webgpu({ gpu })
    const model = training(backend)
    let last = silentStep(backend, model, 0)
    await turn()
    last = silentStep(backend, model, 1)
    await turn()
    const before = { ...counts }
    for (let n = 2; n < 102; n++) {
      last = silentStep(backend, model, n)
      await turn()
    }
    expect(counts.maps).toBe(0)
    expect(counts.submits - before.submits).toBeLessThanOrEqual(200)
    expect(counts.submits - before.submits).toBeGreaterThan(0)
    const { buffers, layouts, pipelines } = counts
    expect({ buffers, layouts, pipelines }).toEqual({
      buffers: before.buffers,
      layouts: before.layouts,
      pipelines: before.pipelines,
    })
    expect(await last.item()).toBeLessThan(Math.log(V))
    expect(counts.maps).toBe(1)
  })

  it('needs as much memory after 500 steps as after 10', async () => {
    const { gpu } = await countedGpu()
    const backend = await webgpu({ gpu })
    const model = training(backend)
    const measured: number[] = []
    for (let n = 1; n <= 500; n++) {
      silentStep(backend, model, n)
      if (n % 10 === 0) {
        await turn()
      }
      if (n === 10 || n === 500) {
        // Losses that nobody kept are collected, their places given back.
        for (let i = 0; i < 3; i++) {
          globalThis.gc?.()
          await turn()
        }
        measured.push(backend.memory().used)
      }
    }
    expect(measured[1]).toBeLessThanOrEqual(measured[0] + 256)
  })

  it('trains as wasm does', async () => {
    const { gpu } = await countedGpu()
    const curves: number[][] = []
    for (const backend of [await webgpu({ gpu }), wasm()]) {
      const { optimizer, loss } = training(backend)
      const losses: number[] = []
      for (let n = 0; n < 20; n++) {
        losses.push(await withBackend(backend, () => trainStep(optimizer, () => loss(n % 2))))
      }
      curves.push(losses)
    }
    expect(curves[0][19]).toBeLessThan(curves[0][0])
    // Sums of at most 32 terms, each step's rounding carried on: 20 · 32 · 2⁻²⁴ of a loss of about 3.5.
    curves[0].forEach((value, i) => {
      expect(Math.abs(value - curves[1][i])).toBeLessThanOrEqual(20 * 32 * 2 ** -24 * 3.5)
    })
  })

  it('gives the room of a product back that it refuses', async () => {
    const { gpu } = await countedGpu()
    const backend = await webgpu({ gpu, maximumBindingBytes: 2 ** 20 })
    const [M, N, K] = [8, 8, 2 ** 16]
    // Only the first operand is too large; K is long enough to be split.
    const [a, b, c] = [M * K, N * 4096, M * N].map(count => backend.allocate('float32', count))
    const { matmul_nt } = backend.kernels({ name: 'matmul', reference: matmulReference })
    const before = backend.memory().used
    const multiply = (): void =>
      matmul_nt(a, 0, K, b, 0, 4096, 0, c, 0, N, M, N, K, 1, 0, backend.scratch(0))
    expect(multiply).toThrow(LowrankError)
    expect(multiply).toThrow(LowrankError)
    expect(backend.memory().used).toBe(before)
  })

  it('says how to read where reading at once is asked for', async () => {
    const { gpu } = await countedGpu()
    const backend = await webgpu({ gpu })
    const y = withBackend(backend, () => linear(tensor([1, 2], [1, 2]), tensor([3, 4], [1, 2])))
    expect(() => y.dataSync()).toThrow('webgpu cannot be read without waiting (use await data();')
    expect(await y.data()).toEqual(new Float32Array([11]))
  })

  it('splits frozen matrices that are larger than a binding', async () => {
    const { gpu } = await countedGpu()
    const [whole, parts] = [await webgpu({ gpu }), await webgpu({ gpu, maximumBindingBytes: 4096 })]
    const results: Float32Array[] = []
    for (const backend of [whole, parts]) {
      const outputs = withBackend(backend, () => {
        const numbers = draw([96, 64], 9).dataSync()
        const weight = new Parameter(numbers, [96, 64], { dtype: 'bfloat16' })
        const index = tensor([0, 95, 40, 33], [4], { dtype: 'int32' })
        const x = tensor(numbers.slice(0, 128), [2, 64], { requiresGrad: true })
        const y = step(() => {
          const result = linear(x, weight)
          backward(result, tensor(numbers.slice(0, 192), [2, 96]))
          return result
        })
        return [embedding(index, weight), y, x.grad as Tensor]
      })
      for (const output of outputs) {
        results.push((await output.data()) as Float32Array)
      }
    }
    expect(results[3]).toEqual(results[0])
    expect(results[4]).toEqual(results[1])
    // The gradient adds up part by part: another order of 96 terms, each at most 1/4.
    results[5].forEach((value, i) => {
      expect(Math.abs(value - results[2][i])).toBeLessThanOrEqual(96 * 2 ** -24 * 24)
    })
  })

  it('refuses what exceeds maximumBytes, and goes on', async () => {
    const { gpu } = await countedGpu()
    const backend = await webgpu({ gpu, maximumBytes: 8 * 1024 * 1024 })
    const wide = (): Tensor => tensor(new Float32Array(2 ** 21), [2 ** 21])
    expect(() => withBackend(backend, () => rmsNorm(wide()))).toThrow(
      expect.objectContaining({ code: 'memory' }),
    )
    const y = withBackend(backend, () => linear(tensor([1], [1, 1]), tensor([5], [1, 1])))
    expect(await y.item()).toBe(5)
  })

  it('makes room within a turn while recorded work still uses what is free', async () => {
    const { gpu } = await countedGpu()
    const backend = await webgpu({ gpu, maximumBytes: 10 * 1024 * 1024 })
    const sums = withBackend(backend, () =>
      [500_000, 900_000].map(count => {
        const x = tensor(new Float32Array(count).fill(2), [count])
        return step(() => sum(mul(x, x)))
      }),
    )
    expect(await Promise.all(sums.map(y => y.item()))).toEqual([2_000_000, 3_600_000])
  })

  it('goes on after a memory error in the middle of a turn', async () => {
    const { gpu } = await countedGpu()
    const backend = await webgpu({ gpu, maximumBytes: 8 * 1024 * 1024 })
    await withBackend(backend, async () => {
      const x = tensor(new Float32Array(2 ** 18).fill(3), [2 ** 18])
      const first = sum(mul(x, x))
      expect(() => sum(tensor(new Float32Array(2 ** 21), [2 ** 21]))).toThrow('maximumBytes')
      expect(await first.item()).toBe(9 * 2 ** 18)
      expect(await sum(x).item()).toBe(3 * 2 ** 18)
    })
  })

  it('trains the same in as little memory as a step needs', async () => {
    const { gpu } = await countedGpu()
    const run = async (maximumBytes?: number): Promise<[number[], number]> => {
      const backend = await webgpu({ gpu, maximumBytes })
      const model = training(backend)
      const losses: number[] = []
      for (let n = 0; n < 3; n++) {
        losses.push(
          await withBackend(backend, () => trainStep(model.optimizer, () => model.loss(n))),
        )
      }
      return [losses, backend.memory().reserved]
    }
    const [want, reserved] = await run()
    const outcomes = []
    for (let less = 1; less <= 6; less++) {
      outcomes.push(await run(reserved - 1024 * less).catch((error: LowrankError) => error))
    }
    for (const outcome of outcomes) {
      if (outcome instanceof LowrankError) {
        expect(outcome.code).toBe('memory')
      } else {
        expect(outcome[0]).toEqual(want)
      }
    }
    expect(outcomes.some(outcome => Array.isArray(outcome))).toBe(true)
  })

  it('keeps results where they are when there is no room for places', async () => {
    const { gpu } = await countedGpu()
    const backend = await webgpu({ gpu, maximumBytes: 2 ** 20 + 2 ** 16 })
    const y = withBackend(backend, () => linear(tensor([1, 2], [1, 2]), tensor([3, 4], [1, 2])))
    expect(await y.data()).toEqual(new Float32Array([11]))
    expect(backend.memory().reserved).toBeLessThanOrEqual(2 ** 20 + 2 ** 16)
  })

  it('refuses limits that are none', async () => {
    const { gpu } = await countedGpu()
    for (const bytes of [Number.NaN, -1, 0, 255, '1 GB']) {
      for (const name of ['maximumBytes', 'maximumBindingBytes']) {
        await expect(webgpu({ gpu, [name]: bytes })).rejects.toMatchObject({
          code: 'argument',
          message: `webgpu: ${name}: expected a number of at least 256, got ${bytes}`,
        })
      }
    }
  })

  it('says that memory ran out where the device says so', async () => {
    const { gpu } = await countedGpu(device => {
      device.pushErrorScope = () => undefined
      device.popErrorScope = async () => ({ message: 'no room' })
    })
    const backend = await webgpu({ gpu })
    const y = withBackend(backend, () => linear(tensor([1], [1, 1]), tensor([5], [1, 1])))
    const failure = await y.data().catch((error: LowrankError) => error)
    expect(failure).toBeInstanceOf(LowrankError)
    expect(failure).toMatchObject({ code: 'memory' })
  })

  it('says that the device was lost, at reading and from then on', async () => {
    const { gpu } = await countedGpu()
    const backend = await webgpu({ gpu })
    const y = withBackend(backend, () => linear(tensor([1], [1, 1]), tensor([5], [1, 1])))
    backend.dispose()
    await expect(y.data()).rejects.toThrow('the device was lost')
    expect((await backend.lost).message).toContain('the default backend, wasm')
    expect(() => withBackend(backend, () => linear(y, y))).toThrow('the device was lost')
  })

  it('says what to do where there is no device', async () => {
    await expect(webgpu({ gpu: { requestAdapter: async () => null } })).rejects.toThrow(
      'webgpu: expected a WebGPU device, got none',
    )
  })
})
