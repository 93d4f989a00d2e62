// The same samples and training steps on the device of every other runtime that has one: their values agree
// with WASM in the same runtime.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { hasDawn } from '../../support/webgpu/local.ts'
import { bundledCompact, gpuRuntimes, isInstalled } from '../../support/webgpu/runtimes.ts'

const PATIENCE = 300_000

describe.runIf(hasDawn())('WebGPU in other runtimes', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lowrank-webgpu-'))
  let script: string

  beforeAll(async () => {
    script = await bundledCompact(folder)
  })

  afterAll(() => {
    rmSync(folder, { recursive: true, force: true })
  })

  for (const runtime of gpuRuntimes) {
    it.skipIf(!isInstalled(runtime))(
      runtime.name,
      async () => {
        const { device, samples, problems, losses, wasmLosses } = await runtime.run(script)
        console.log(`WebGPU in ${runtime.name}: ${device}, ${samples} samples`)
        expect(samples).toBeGreaterThan(60)
        expect(problems).toEqual([])
        // Six steps of Adam lose some digits of what float32 keeps of a loss.
        losses.forEach((loss, i) => {
          expect(Math.abs(loss - wasmLosses[i])).toBeLessThan(1e-3 * wasmLosses[i])
        })
        expect(losses[5]).toBeLessThan(losses[0])
      },
      PATIENCE,
    )
  }
})
