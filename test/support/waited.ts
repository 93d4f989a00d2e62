// A small net that has been used, and the same work with it on wasm and on a backend that is waited for.

import { Conv1D, Linear, Module, manualSeed, setBackend, type Tensor, tensor } from 'lowrank'
import { trainStep } from 'lowrank/train'
import { wasm } from 'lowrank/wasm'
import { expect } from 'vitest'
import type { Backend } from '../../src/core/backend.ts'
import { mseLoss } from '../../src/ops/mse_loss.ts'
import { AdamW } from '../../src/optim/adamw.ts'
import { DeferredBackend } from './deferred.ts'

export class Net extends Module {
  readonly up: Linear = new Linear(6, 8)
  readonly down: Conv1D = new Conv1D(8, 5)
  forward(x: Tensor): Tensor {
    return this.down.forward(this.up.forward(x))
  }
}

export const targetModules: readonly string[] = ['up', 'down']
export const input = (): Tensor => tensor([1, -2, 3, 0.5, 0.25, -1, 2, 1, 0, -3, 1, 4], [2, 6])

export async function elements(module: Module): Promise<Record<string, ArrayLike<number>>> {
  const found: Record<string, ArrayLike<number>> = {}
  for (const [name, parameter] of module.namedParameters()) {
    found[name] = await parameter.data()
  }
  return found
}

export function belongsTo(module: Module, backend: Backend): void {
  for (const [name, parameter] of module.namedParameters()) {
    expect(parameter.backend, name).toBe(backend)
  }
}

/** A net whose weights have been used, so that they are on the backend. */
export async function usedNet(): Promise<Net> {
  manualSeed(5)
  const net = new Net()
  await net.forward(input()).data()
  return net
}

export async function trained(model: Module): Promise<void> {
  const optimizer = new AdamW(model.trainable(), { lr: 0.1 })
  const target = tensor(new Float32Array(10), [2, 5])
  for (let i = 0; i < 2; i++) {
    await trainStep(optimizer, () => mseLoss(model.forward(input()), target))
  }
  optimizer.dispose()
}

/** The same work on wasm and on a backend that is waited for. */
export async function both(work: (backend: Backend) => Promise<unknown>): Promise<void> {
  const results: unknown[] = []
  for (const backend of [wasm(), new DeferredBackend()]) {
    setBackend(backend)
    results.push(await work(backend))
  }
  expect(results[1]).toEqual(results[0])
}
