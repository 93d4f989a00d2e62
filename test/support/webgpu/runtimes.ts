// Runtimes with WebGPU besides Node and Chromium, each running compact.ts on a device in software: Deno and
// Firefox on Debian's lavapipe, Bun with Dawn on SwiftShader.

import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { firefox } from 'playwright-core'
import { rolldown } from 'rolldown'
import type { CompactReport } from './compact.ts'

export interface GpuRuntime {
  readonly name: string
  /** Paths without which it does not run. */
  readonly needs: readonly string[]
  run(script: string): Promise<CompactReport>
}

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url))

const DENO = path('../../runtimes/node_modules/.bin/deno')
const BUN = path('../../runtimes/node_modules/.bin/bun')
const DAWN = path('../../webgpu/node_modules/webgpu/index.js')
const FIREFOX = '/usr/bin/firefox-esr'
const LAVAPIPE = '/usr/share/vulkan/icd.d/lvp_icd.x86_64.json'
const SWIFTSHADER = '/usr/lib/chromium/vk_swiftshader_icd.json'
const PATIENCE = 240_000

function answered(text: string): CompactReport {
  const answer = JSON.parse(text)
  if (answer.error) {
    throw new Error(answer.error)
  }
  return answer
}

/** The line of JSON among what a console prints. */
async function inConsole(command: readonly string[], env: object): Promise<CompactReport> {
  const [file, ...args] = command
  const { stdout } = await promisify(execFile)(file, args, {
    env: { ...process.env, ...env },
    timeout: PATIENCE,
  })
  return answered(stdout.split('\n').find(line => line.startsWith('{')) ?? '{"error":"no answer"}')
}

async function inFirefox(script: string): Promise<CompactReport> {
  const browser = await firefox.launch({
    channel: 'moz-firefox',
    executablePath: FIREFOX,
    headless: true,
    env: { ...process.env, VK_ICD_FILENAMES: LAVAPIPE } as Record<string, string>,
    firefoxUserPrefs: { 'dom.webgpu.enabled': true, 'gfx.webgpu.ignore-blocklist': true },
  })
  try {
    const page = await browser.newPage()
    await page.route('**', route =>
      route.fulfill({ contentType: 'text/html', body: '<html></html>' }),
    )
    // Pages have WebGPU in secure contexts only.
    await page.goto('https://webgpu.test/')
    await page.addScriptTag({ path: script, type: 'module' })
    const found = await page.waitForFunction('globalThis.result', undefined, { timeout: PATIENCE })
    return answered((await found.jsonValue()) as string)
  } finally {
    await browser.close()
  }
}

export const gpuRuntimes: readonly GpuRuntime[] = [
  {
    name: 'Deno',
    needs: [DENO, LAVAPIPE],
    run: script => inConsole([DENO, 'run', '--allow-all', script], { VK_ICD_FILENAMES: LAVAPIPE }),
  },
  {
    name: 'Bun',
    needs: [BUN, DAWN, SWIFTSHADER],
    run: script => inConsole([BUN, script], { VK_ICD_FILENAMES: SWIFTSHADER, LOWRANK_DAWN: DAWN }),
  },
  { name: 'Firefox', needs: [FIREFOX, LAVAPIPE], run: inFirefox },
]

/** Whether a runtime is installed; says what is missing. */
export function isInstalled({ name, needs }: GpuRuntime): boolean {
  const missing = needs.filter(file => !existsSync(file))
  if (missing.length > 0) {
    console.warn(`skipped: WebGPU in ${name}: ${missing.join(' and ')} not installed`)
  }
  return missing.length === 0
}

/** Bundles compact.ts into `folder`. */
export async function bundledCompact(folder: string): Promise<string> {
  const bundle = await rolldown({
    input: path('./compact.ts'),
    external: /^node:/,
    logLevel: 'silent',
    resolve: {
      alias: {
        '#kernels': path('../../../src/backends/wasm/default.ts'),
        '#kernels/*': `${dirname(path('../../../src/backends/wasm/default.ts'))}/binaries/*`,
      },
    },
  })
  const file = `${folder}/compact.mjs`
  await bundle.write({ file, format: 'esm', codeSplitting: false })
  await bundle.close()
  return file
}
