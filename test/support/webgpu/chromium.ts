// A worker thread that drives Chromium, in which the backend runs on SwiftShader.

import { workerData } from 'node:worker_threads'
import { chromium } from 'playwright-core'
import type { DType, TypedArray } from '../../../src/core/dtype.ts'
import { LowrankError } from '../../../src/core/errors.ts'
import type { Call } from './host.ts'
import { serve } from './serve.ts'

interface PageAnswer {
  readonly data?: string
  readonly error?: { readonly code?: 'backend'; readonly message: string }
}

function encoded(call: Call): readonly unknown[] {
  if (call[0] !== 'write') {
    return call
  }
  const { buffer, byteOffset, byteLength } = call[3]
  return [...call.slice(0, 3), Buffer.from(buffer, byteOffset, byteLength).toString('base64')]
}

function decoded(dtype: DType, text: string): TypedArray {
  const bytes = new Uint8Array(Buffer.from(text, 'base64')).buffer
  if (dtype === 'float32') {
    return new Float32Array(bytes)
  }
  return dtype === 'int32' ? new Int32Array(bytes) : new Uint16Array(bytes)
}

async function openPage() {
  const browser = await chromium.launch({
    executablePath: workerData.chromium,
    args: ['--no-sandbox', '--disable-gpu', '--enable-unsafe-webgpu', '--no-first-run'],
  })
  const page = await browser.newPage()
  await page.route('**', route =>
    route.fulfill({ contentType: 'text/html', body: '<html></html>' }),
  )
  // Pages have WebGPU in secure contexts only.
  await page.goto('https://webgpu.test/')
  await page.addScriptTag({ path: workerData.page, type: 'module' })
  await page.waitForFunction('typeof run === "function"')
  return page
}

const opened = openPage()
opened.catch(() => undefined)

serve(workerData.port, workerData.state, async calls => {
  const page = await opened
  const answer = (await page.evaluate(
    // biome-ignore lint/suspicious/noExplicitAny: the page has the function that page.ts made
    batch => (globalThis as any).run(batch),
    calls.map(encoded),
  )) as PageAnswer
  if (answer.error) {
    const { code, message } = answer.error
    throw code ? new LowrankError(code, message) : new Error(message)
  }
  const last = calls[calls.length - 1]
  return last?.[0] === 'read' && answer.data !== undefined
    ? decoded(last[2], answer.data)
    : undefined
})
