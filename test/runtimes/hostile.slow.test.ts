// The installed package in hostile surroundings: an engine without WASM, a policy that forbids it, a
// frozen global object, a page that is not isolated and asks for threads.

import { execFileSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CHROMIUM, launchChromium, resultOf } from './browsers.ts'
import { installedProject, type Project } from './project.ts'
import { type Site, serve } from './site.ts'

/** Infers, tries to train, and tells what happened. */
const PROGRAM = `
const warnings = []
console.warn = text => warnings.push(text)
const { AdamW, attach, Linear, matmul, memory, mseLoss, tensor, trainStep } = await import('lowrank')
const a = tensor([1, 2, 3, 4], [2, 2])
const product = [...matmul(a, a).dataSync()]
const model = attach(new Linear(2, 2), { r: 1 })
const optimizer = new AdamW(model.trainable(), { lr: 1e-3 })
const training = await trainStep(optimizer, () => mseLoss(model.forward(a), a)).then(
  loss => typeof loss, error => error.message)
console.log(JSON.stringify({ backend: memory().backend, product, warnings, training }))
`

const FROZEN = `
for (const name of ['Object', 'Array', 'Promise', 'Map', 'Set', 'Error', 'Float32Array', 'Math', 'JSON']) {
  Object.freeze(globalThis[name])
  Object.freeze(globalThis[name].prototype)
}
globalThis.console = { ...console }
Object.freeze(globalThis)
`

interface Told {
  readonly backend: string
  readonly product: readonly number[]
  readonly warnings: readonly string[]
  readonly training: string
}

const PRODUCT = [7, 10, 15, 22]

let project: Project

beforeAll(() => {
  project = installedProject()
})

afterAll(() => project?.remove())

function told(program: string, flags: readonly string[] = []): Told {
  writeFileSync(join(project.folder, 'hostile.mjs'), program)
  const args = [...flags, 'hostile.mjs']
  const out = execFileSync(process.execPath, args, { cwd: project.folder, encoding: 'utf8' })
  return JSON.parse(out) as Told
}

describe('Node', () => {
  it('--jitless: infers after one warning, refuses to train', () => {
    const { backend, product, warnings, training } = told(PROGRAM, ['--jitless', '--no-warnings'])
    expect({ backend, product }).toEqual({ backend: 'reference', product: PRODUCT })
    expect(warnings.length).toBe(1)
    expect(warnings[0]).toMatch(/Inference goes on with the reference loops/)
    expect(training).toMatch(/reference\(\)/)
  })

  it('with a frozen global object: all is as ever', () => {
    const result = told(FROZEN + PROGRAM.replace('console.warn =', 'const ignored ='))
    expect(result).toEqual({ backend: 'wasm', product: PRODUCT, warnings: [], training: 'number' })
  })
})

const present = existsSync(CHROMIUM)
if (!present) {
  console.warn('skipped: hostile pages (no chromium)')
}

describe.skipIf(!present)('a page', () => {
  let browser: Browser
  let site: Site

  beforeAll(async () => {
    browser = await launchChromium()
    site = await serve(project)
  })

  afterAll(async () => {
    await browser?.close()
    await site?.close()
  })

  it('whose policy forbids WASM infers after one warning, and refuses to train', async () => {
    const csp = encodeURIComponent("script-src 'self'")
    const result = JSON.parse(
      await resultOf(browser, `${site.url}/hostile.html?csp=${csp}`),
    ) as Told
    expect(result).toMatchObject({ backend: 'reference', product: PRODUCT })
    expect(result.warnings.length).toBe(1)
    expect(result.warnings[0]).toMatch(/wasm-unsafe-eval/)
    expect(result.training).toMatch(/reference\(\)/)
  })

  it('that is not isolated and asks for threads is told what to serve', async () => {
    const result = JSON.parse(await resultOf(browser, `${site.url}/?threads=2`)) as {
      error: string
    }
    expect(result.error).toMatch(/Cross-Origin-Opener-Policy: same-origin/)
  })
})
