// Runs the suites on WebGPU: everything in Node with Dawn, then what computes in Chromium, both on
// SwiftShader. In the suites of LoRA the device is also the default backend, for tests that name none.
// What is not installed is said and skipped.
//
//   npm run test:webgpu            both
//   npm run test:webgpu -- dawn    one of them; further arguments are those of vitest

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

const SUITES = {
  dawn: ['test/backends/webgpu', 'test/ops', 'test/optim', 'test/models', 'test/nn'],
  chromium: ['test/ops', 'test/optim', 'test/models'],
}

const NEEDED = {
  dawn: [`${root}test/webgpu/node_modules/webgpu`, '/usr/lib/chromium/vk_swiftshader_icd.json'],
  chromium: ['/usr/bin/chromium'],
}

function vitest(place, name, rest) {
  const { LOWRANK_RESULTS: results } = process.env
  const output = results ? [`--outputFile=${results}/${name}.json`] : []
  const { status } = spawnSync(
    process.execPath,
    ['node_modules/vitest/vitest.mjs', 'run', '--maxWorkers=2', ...output, ...rest],
    { cwd: root, stdio: 'inherit', env: { ...process.env, LOWRANK_WEBGPU: place } },
  )
  return status ?? 1
}

function run(place, rest) {
  const missing = NEEDED[place].filter(path => !existsSync(path))
  if (missing.length > 0) {
    console.warn(`skipped: WebGPU in ${place}: ${missing.join(' and ')} not installed`)
    return 0
  }
  console.log(`WebGPU in ${place}`)
  if (rest.length > 0) {
    return vitest(place, `webgpu-${place}`, rest)
  }
  const lora = ['--config', 'test/webgpu/vitest.config.ts', 'test/lora']
  return Math.max(
    vitest(place, `webgpu-${place}`, SUITES[place]),
    vitest(place, `webgpu-${place}-lora`, lora),
  )
}

const [first, ...rest] = process.argv.slice(2)
const places = first in SUITES ? [first] : ['dawn', 'chromium']
process.exit(Math.max(...places.map(place => run(place, rest))))
