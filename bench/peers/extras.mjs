// What only this library is asked for: kernels beside a copy, the cost of recording, a real model.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { pinned } from './process.mjs'

/** The JSON that a bench of this repository writes. */
function resultOf(script) {
  const folder = mkdtempSync(join(tmpdir(), 'lowrank-bench-'))
  const path = fileURLToPath(new URL(`../${script}`, import.meta.url))
  const json = join(folder, 'result.json')
  const [file, ...args] = pinned([process.execPath, '--import', 'tsx', path, '--json', json])
  const { status } = spawnSync(file, args, { stdio: 'inherit' })
  if (status !== 0) {
    throw new Error(`${script} ended with ${status}`)
  }
  const result = JSON.parse(readFileSync(json, 'utf8'))
  rmSync(folder, { recursive: true })
  return result
}

export function measureExtras() {
  return {
    bandwidth: resultOf('kernels/bandwidth.ts').filter(({ name }) => name !== 'copy'),
    overhead: resultOf('overhead.ts').worst,
    smollm: resultOf('smollm.ts'),
  }
}
