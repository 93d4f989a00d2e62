// The fingerprint in other runtimes: the known answer of this release in each, or the kernels that
// differ. One bundle with the kernels inside for consoles and browsers; for workerd and edge-runtime
// one that lies in the installed package, so that they get the compiled modules.

import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type Browser, firefox } from 'playwright-core'
import { build } from 'rolldown'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { differingStages, type FingerprintStage } from '../../src/conformance/fingerprint.ts'
import { launchChromium } from './browsers.ts'
import { CONSOLES } from './consoles.ts'
import { at, installedProject, type Project } from './project.ts'
import { servers } from './servers.ts'

const execute = promisify(execFile)
const known = JSON.parse(readFileSync(at('../../conformance/fingerprint.json'), 'utf8'))

const ENTRY = `export { fingerprint } from ${JSON.stringify(at('../../src/conformance/fingerprint.ts'))}`

function inlinedKernels(): Record<string, string> {
  const folder = at('../../src/backends/wasm/binaries')
  const families = readdirSync(folder).map(file => file.replace('.ts', ''))
  return {
    ...Object.fromEntries(families.map(name => [`#kernels/${name}`, join(folder, `${name}.ts`)])),
    '#kernels': at('../../src/backends/wasm/default.ts'),
  }
}

/** Bundles `fingerprint` into one file; without `inline`, kernels come from the package around it. */
async function bundle(file: string, inline: boolean): Promise<void> {
  const input = `${file}.entry.ts`
  writeFileSync(input, ENTRY)
  await build({
    input,
    platform: 'neutral',
    external: inline ? [] : [/^#kernels/],
    resolve: { alias: inline ? inlinedKernels() : {} },
    output: { file, codeSplitting: false },
  })
}

const BROWSERS = [
  ['Chromium', '/usr/bin/chromium', launchChromium],
  [
    'Firefox',
    '/usr/bin/firefox-esr',
    () =>
      firefox.launch({
        channel: 'moz-firefox',
        executablePath: '/usr/bin/firefox-esr',
        headless: true,
      }),
  ],
] as const

function expectKnown(stages: readonly FingerprintStage[]): void {
  expect(differingStages(stages, known.stages)).toEqual([])
}

/** Whether to skip, after saying so. */
function skipped(name: string, absent: string | undefined): boolean {
  if (absent) {
    console.warn(`skipped: ${name} (${absent})`)
  }
  return absent !== undefined
}

const missing = (path: string): string | undefined =>
  existsSync(path) ? undefined : `${path} is missing`

const IMPORTED = `(async text => {
  const url = URL.createObjectURL(new Blob([text], { type: 'text/javascript' }))
  const { fingerprint } = await import(url)
  return fingerprint({ seed: 0 })
})`

async function inPage(browser: Browser, code: string): Promise<FingerprintStage[]> {
  try {
    const page = await browser.newPage()
    // As text: what a test runner makes of a dynamic import means nothing on a page.
    return await page.evaluate(`${IMPORTED}(${JSON.stringify(code)})`)
  } finally {
    await browser.close()
  }
}

describe('the fingerprint', () => {
  const work = mkdtempSync(join(tmpdir(), 'lowrank-fingerprint-'))
  const module = join(work, 'fingerprint.mjs')
  let project: Project | undefined

  beforeAll(async () => {
    await bundle(module, true)
    writeFileSync(
      join(work, 'main.mjs'),
      "import { fingerprint } from './fingerprint.mjs'\n" +
        'console.log(JSON.stringify(await fingerprint({ seed: 0 })))\n',
    )
  })
  afterAll(() => {
    project?.remove()
    rmSync(work, { recursive: true, force: true })
  })

  for (const { name, command, args, absent } of CONSOLES) {
    it.skipIf(skipped(name, absent))(`is the known one in ${name}`, async () => {
      const { stdout } = await execute(command, [...args, 'main.mjs'], { cwd: work })
      expectKnown(JSON.parse(stdout))
    })
  }

  for (const [name, path, launch] of BROWSERS) {
    it.skipIf(skipped(name, missing(path)))(`is the known one in ${name}`, async () => {
      expectKnown(await inPage(await launch(), readFileSync(module, 'utf8')))
    })
  }

  for (const server of servers) {
    it.skipIf(server.absent)(`is the known one in ${server.name}`, async () => {
      if (!project) {
        project = installedProject()
        const inside = 'node_modules/lowrank/dist/fingerprint.js'
        await bundle(join(project.folder, inside), false)
        writeFileSync(join(project.folder, 'packages.mjs'), 'export const lowrank = {}\n')
        writeFileSync(
          join(project.folder, 'suite.mjs'),
          `import { fingerprint } from './${inside}'\n` +
            'export const suite = async () => ({ stages: await fingerprint({ seed: 0 }) })\n',
        )
      }
      const result: unknown = await server.run(project)
      expectKnown((result as { stages: FingerprintStage[] }).stages)
    })
  }
})
