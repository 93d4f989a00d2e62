// The report in a real browser: charts and tables are there, nothing is fetched, nothing complains,
// and nothing sticks out of the page, at both widths, in light and dark.

import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { reportPage } from '../../src/cli/report/page.ts'
import { madeUpReport } from './report_data.ts'

const CHROMIUM = process.env['LOWRANK_CHROMIUM'] ?? '/usr/bin/chromium'
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]
const present = existsSync(CHROMIUM)
if (!present) {
  console.warn('skipped: no chromium')
}

const ATTACK = `<script>document.title = 'broken'</script><img src=x onerror="document.title = 'broken'">`

const usual = madeUpReport()
const RUNS = {
  usual,
  small: madeUpReport({ blocks: 1, r: 1, steps: 1, evals: 0, samples: 0 }),
  large: madeUpReport({ blocks: 200, r: 32, steps: 12_000, evals: 100, samples: 8 }),
  hostile: {
    ...usual,
    args: { ...usual.args, model: ATTACK, out: ATTACK },
    before: [{ prompt: ATTACK, want: ATTACK, got: '', exact: false }],
    after: [{ prompt: ATTACK, want: ATTACK, got: ATTACK, exact: true }],
    layers: usual.layers.map(layer => ({ ...layer, path: `${layer.path}.${ATTACK}` })),
  },
} as const

const VIEWS = [
  { width: 1280, colorScheme: 'light' },
  { width: 1280, colorScheme: 'dark' },
  { width: 390, colorScheme: 'light' },
  { width: 390, colorScheme: 'dark' },
] as const

describe.skipIf(!present)('the report in Chromium', () => {
  let folder: string
  let browser: Browser

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lowrank-report-'))
    browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS })
    for (const [name, data] of Object.entries(RUNS)) {
      await writeFile(join(folder, `${name}.html`), reportPage(data))
    }
  })

  afterAll(async () => {
    await browser.close()
    await rm(folder, { recursive: true })
  })

  /** Opens a report and returns it with everything the browser had to say or fetch. */
  async function open(name: string, view: (typeof VIEWS)[number]): Promise<[Page, string[]]> {
    const { width, colorScheme } = view
    const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme })
    const url = pathToFileURL(join(folder, `${name}.html`)).href
    const noise: string[] = []
    page.on('console', message => noise.push(message.text()))
    page.on('pageerror', error => noise.push(error.message))
    page.on('request', request => {
      if (request.url() !== url) {
        noise.push(request.url())
      }
    })
    await page.goto(url)
    return [page, noise]
  }

  describe.each(Object.keys(RUNS))('%s', name => {
    it.each(VIEWS)('at $width px, $colorScheme', async view => {
      const [page, noise] = await open(name, view)
      const shown = await page.evaluate(() => {
        const charts = [...document.querySelectorAll('svg')].filter(svg => svg.checkVisibility())
        const style = getComputedStyle(document.body)
        const title = charts.map(svg => svg.getAttribute('aria-label'))
        const marks = charts.map(svg => svg.querySelectorAll('path, text').length)
        const narrowest = Math.min(...charts.map(svg => svg.getBoundingClientRect().width))
        const overflow = document.documentElement.scrollWidth - window.innerWidth
        const sections = document.querySelectorAll('section').length
        return { title, marks, narrowest, overflow, sections, background: style.backgroundColor }
      })
      const loaded = await page.title()
      await page.close()
      expect(noise).toEqual([])
      expect(loaded).toMatch(/^LoRA fine-tuning of /)
      expect(shown.sections).toBe(7)
      expect(shown.title).toHaveLength(3)
      expect(Math.min(...shown.marks)).toBeGreaterThan(10)
      expect(shown.narrowest).toBeGreaterThan(view.width > 640 ? 900 : 320)
      expect(shown.overflow).toBeLessThanOrEqual(0)
      const [red] = shown.background.match(/\d+/g)!.map(Number)
      expect(red > 128).toBe(view.colorScheme === 'light')
    })
  })

  it('names everything for those who do not see it', async () => {
    const [page] = await open('usual', VIEWS[0])
    const outline = await page.locator('main').ariaSnapshot()
    await page.close()
    expect(outline).toMatch(/heading "LoRA fine-tuning" \[level=1\]/)
    expect(outline).toMatch(/img "Training loss from .* over 240 steps\./)
    expect(outline).toMatch(/img "28 adapted layers\. The largest change is/)
    expect(outline).toMatch(/img "Singular values of 28 updates of rank 8\./)
    for (const name of ['Samples', 'Trained parameters', 'Memory', 'Settings']) {
      expect(outline).toContain(`table "${name}"`)
    }
    expect(outline).toContain('columnheader "Wanted"')
    expect(outline).toMatch(/deletion/)
  })

  it('keeps the table of samples a table where it is shown as cards', async () => {
    const [page] = await open('usual', VIEWS[2])
    const outline = await page.locator('.samples').ariaSnapshot()
    await page.close()
    expect(outline).toContain('table "Samples"')
    expect(outline.match(/- '?row "/g)).toHaveLength(4)
  })

  it('shows what would be code as text', async () => {
    const [page] = await open('hostile', VIEWS[0])
    const text = await page.locator('.samples').textContent()
    const elements = await page.locator('script, img').count()
    await page.close()
    expect(elements).toBe(0)
    expect(text).toContain("<script>document.title = 'broken'</script>")
  })
})
