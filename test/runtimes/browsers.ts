// Browsers: Chromium and Firefox by playwright, WebKitGTK by its WebDriver. Pages put what the suite
// says into `globalThis.result`.

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { type Browser, type BrowserType, chromium, firefox } from 'playwright-core'
import type { Project } from './project.ts'
import { parsed, type Runtime, type SuiteResult } from './runtime.ts'
import { serve } from './site.ts'

export const CHROMIUM: string = process.env['LOWRANK_CHROMIUM'] ?? '/usr/bin/chromium'
const FIREFOX = process.env['LOWRANK_FIREFOX'] ?? '/usr/bin/firefox-esr'
const WEBKIT_DRIVER = '/usr/bin/WebKitWebDriver'
const WEBKIT = '/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser'
const XVFB = '/usr/bin/xvfb-run'
const PATIENCE = 90_000

const CHROMIUM_FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

export const launchChromium = (): Promise<Browser> =>
  chromium.launch({ executablePath: CHROMIUM, args: CHROMIUM_FLAGS })

const launchFirefox = (): Promise<Browser> =>
  (firefox as BrowserType).launch({
    channel: 'moz-firefox',
    executablePath: FIREFOX,
    headless: true,
  })

/** What a page of the site says in the end. */
export async function resultOf(browser: Browser, url: string): Promise<string> {
  const page = await browser.newPage()
  const complaints: string[] = []
  page.on('pageerror', error => complaints.push(String(error)))
  page.on('console', message => complaints.push(message.text()))
  try {
    await page.goto(url)
    const result = await page.waitForFunction('globalThis.result', undefined, { timeout: PATIENCE })
    return (await result.jsonValue()) as string
  } catch (cause) {
    throw new Error(`${url}: ${complaints.join('\n')}`, { cause })
  } finally {
    await page.close()
  }
}

async function inBrowser(
  launch: () => Promise<Browser>,
  path: string,
  project: Project,
): Promise<SuiteResult> {
  const site = await serve(project)
  const browser = await launch()
  try {
    return parsed(await resultOf(browser, site.url + path))
  } finally {
    await browser.close()
    await site.close()
  }
}

/** A request of the WebDriver protocol. */
async function drive(url: string, method: string, body?: object): Promise<unknown> {
  const response = await fetch(url, { method, body: body && JSON.stringify(body) })
  const { value } = (await response.json()) as { value: unknown }
  if (!response.ok) {
    throw new Error(`WebDriver: ${JSON.stringify(value)}`)
  }
  return value
}

const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))

async function sessionAt(driver: string): Promise<string> {
  const options = { binary: WEBKIT, args: ['--automation'] }
  const capabilities = { alwaysMatch: { 'webkitgtk:browserOptions': options } }
  for (let tries = 0; ; tries++) {
    try {
      const made = await drive(`${driver}/session`, 'POST', { capabilities })
      return `${driver}/session/${(made as { sessionId: string }).sessionId}`
    } catch (error) {
      if (tries === 20) {
        throw error
      }
      await pause(500)
    }
  }
}

async function pageResult(session: string, url: string): Promise<string> {
  await drive(`${session}/url`, 'POST', { url })
  const until = Date.now() + PATIENCE
  while (Date.now() < until) {
    const script = { script: 'return globalThis.result', args: [] }
    const value = await drive(`${session}/execute/sync`, 'POST', script)
    if (typeof value === 'string') {
      return value
    }
    await pause(200)
  }
  throw new Error(`WebKitGTK: no result after ${PATIENCE} ms`)
}

async function inWebKit(project: Project): Promise<SuiteResult> {
  const site = await serve(project)
  const port = 20_000 + (process.pid % 20_000)
  const driver = spawn(XVFB, ['-a', WEBKIT_DRIVER, `--port=${port}`], {
    detached: true,
    stdio: 'ignore',
    env: { ...process.env, WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: '1' },
  })
  try {
    const session = await sessionAt(`http://127.0.0.1:${port}`)
    const text = await pageResult(session, site.url)
    await drive(session, 'DELETE')
    return parsed(text)
  } finally {
    // xvfb-run has children: the whole group ends.
    process.kill(-(driver.pid as number))
    await site.close()
  }
}

const absentUnless = (...paths: string[]): string | undefined =>
  paths.every(existsSync)
    ? undefined
    : 'apt-get install chromium firefox-esr webkit2gtk-driver xvfb'

const row = (
  name: string,
  path: string,
  launch: () => Promise<Browser>,
  binary: string,
): Runtime => ({
  name,
  absent: absentUnless(binary),
  run: project => inBrowser(launch, path, project),
})

export const browsers: readonly Runtime[] = [
  row('Chromium', '/', launchChromium, CHROMIUM),
  row('Chromium, 2 threads', '/?isolated&threads=2', launchChromium, CHROMIUM),
  row('Chromium, web worker', '/worker.html', launchChromium, CHROMIUM),
  row('Chromium, service worker', '/service-worker.html', launchChromium, CHROMIUM),
  row('Firefox', '/', launchFirefox, FIREFOX),
  row('Firefox, 2 threads', '/?isolated&threads=2', launchFirefox, FIREFOX),
  row('Firefox, web worker', '/worker.html', launchFirefox, FIREFOX),
  { name: 'WebKitGTK', absent: absentUnless(WEBKIT_DRIVER, WEBKIT, XVFB), run: inWebKit },
]
