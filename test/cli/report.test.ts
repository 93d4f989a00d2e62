// The report as a page: what it shows, that it needs nothing else, and that nothing shown can break it.

import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { HEAT_SHADES } from '../../src/cli/report/change_chart.ts'
import type { ReportData, ReportInput } from '../../src/cli/report/data.ts'
import { writeReport } from '../../src/cli/report/index.ts'
import { reportPage } from '../../src/cli/report/page.ts'
import { STYLE } from '../../src/cli/report/style.ts'
import { SHADES } from '../../src/cli/report/weights.ts'
import { attach } from '../../src/lora/index.ts'
import { Linear } from '../../src/nn/linear.ts'
import { Module } from '../../src/nn/module.ts'
import { madeUpLayers, madeUpReport } from './report_data.ts'

const matches = (text: string, pattern: RegExp): string[] => text.match(pattern) ?? []

describe('the style', () => {
  /** WCAG 2.2: (L₁ + 0.05) / (L₂ + 0.05) of the relative luminances. */
  function contrast(one: string, other: string): number {
    const luminance = (color: string): number =>
      [1, 3, 5]
        .map(at => Number.parseInt(color.slice(at, at + 2), 16) / 255)
        .map(part => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
        .reduce((sum, part, i) => sum + part * [0.2126, 0.7152, 0.0722][i], 0)
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b)
    return (high + 0.05) / (low + 0.05)
  }

  it.each([0, 1])('has enough contrast in light and dark', scheme => {
    const declared = STYLE.split('prefers-color-scheme: dark')[scheme]
    const colors = new Map(
      [...declared.matchAll(/--([\w-]+): (#\w{6})/g)].map(([, name, color]) => [name, color]),
    )
    const of = (name: string): string => colors.get(name) ?? name
    const between = (one: string, other: string): number => contrast(of(one), of(other))
    for (const text of ['ink', 'muted', 'accent', 'good', 'bad']) {
      expect(between(text, 'surface'), text).toBeGreaterThan(4.5)
      expect(between(text, 'page'), text).toBeGreaterThan(4.5)
    }
    expect(between('extra-ink', 'extra')).toBeGreaterThan(4.5)
    expect(between('missing-ink', 'missing')).toBeGreaterThan(4.5)
    for (let shade = 0; shade < HEAT_SHADES; shade++) {
      expect(between(`heat-ink-${shade}`, `heat-${shade}`), `${shade}`).toBeGreaterThan(4.5)
    }
    const lines = Array.from({ length: SHADES }, (_, shade) => `shade-${shade}`)
    for (const line of ['training', 'held', ...lines]) {
      expect(between(line, 'surface'), line).toBeGreaterThan(3)
    }
  })
})

const CASES: readonly (readonly [string, ReportData])[] = [
  ['a usual run', madeUpReport()],
  [
    'one step, no held-out data, no samples',
    madeUpReport({ blocks: 1, r: 1, steps: 1, evals: 0, samples: 0 }),
  ],
  ['200 blocks, a long run', madeUpReport({ blocks: 200, r: 32, steps: 12_000, evals: 100 })],
  ['nothing adapted', { ...madeUpReport(), layers: [] }],
  [
    'updates that are zero',
    {
      ...madeUpReport(),
      layers: madeUpLayers(2, 2).map(layer => ({
        ...layer,
        deltaNorm: 0,
        relativeChange: 0,
        effectiveRank: 0,
        singularValues: [0, 0],
      })),
    },
  ],
]

describe.each(CASES)('the page of %s', (name, data) => {
  const page = reportPage(data)
  const svgs = matches(page, /<svg .*?<\/svg>/gs)

  it('needs nothing from elsewhere and runs nothing', () => {
    expect(page.startsWith('<!doctype html>\n<html lang="en">')).toBe(true)
    expect(page.includes('default-src &#39;none&#39;')).toBe(true)
    expect(matches(page, /<script|<link|<img|<iframe|@import|@font-face|\son\w+=/g)).toEqual([])
    expect(matches(page, /(?:src|href)="(?!#)/g)).toEqual([])
    expect(matches(page, /url\((?!#)/g)).toEqual([])
  })

  it('names every section, chart and table', () => {
    const titles = matches(page, /<h2 id="\w+">/g)
    expect(titles.length).toBeGreaterThanOrEqual(6)
    expect(matches(page, /<section aria-labelledby="\w+">/g)).toHaveLength(titles.length)
    expect(svgs.every(svg => /^<svg role="img" aria-label="[^"]{10,}" /.test(svg))).toBe(true)
    expect(matches(page, /<table(?![^>]*aria-label=)/g)).toEqual([])
    expect(matches(page, /<th(?![^>]*scope=)[ >]/g)).toEqual([])
    const ids = matches(page, / id="[^"]+"/g)
    expect(new Set(ids).size).toBe(ids.length)
  })

  it('draws its charts twice, in the colours of the page alone', () => {
    const charts = { 'nothing adapted': 1, 'updates that are zero': 2 }[name] ?? 3
    expect(svgs).toHaveLength(2 * charts)
    for (const svg of svgs) {
      // ECharts puts a rectangle that cannot be seen behind its legends.
      const unseen = /<defs >.*?<\/defs>|<path [^>]*fill-opacity="0"[^>]*stroke-width="0"[^>]*>/gs
      // A stroke between two points has nothing to fill.
      const stroke = /(<path d="M[\d. -]+L[\d. -]+"[^>]*) fill="#000"/g
      const drawn = svg.replace(unseen, '').replace(stroke, '$1')
      const colors = matches(drawn, /(?:fill|stroke)="[^"]+"/g)
      const own = colors.filter(color => !/"(none|transparent|var\(--[\w-]+\))"$/.test(color))
      expect(own).toEqual([])
      expect(matches(svg, /NaN|undefined|Infinity/g)).toEqual([])
    }
    const used = new Set(matches(page, /var\(--[\w-]+\)/g).map(use => use.slice(4, -1)))
    for (const color of used) {
      expect(STYLE).toContain(`${color}: #`)
    }
  })

  it('stays small', () => {
    expect(page.length).toBeLessThan(name.includes('200') ? 2_500_000 : 300_000)
  })
})

describe('what the page shows', () => {
  it('is the run', () => {
    const page = reportPage(madeUpReport())
    expect(page).toContain('<dd class="value">0 → 1</dd>')
    expect(page).toContain('<del>hall</del><ins>snug</ins>')
    expect(page).toContain('from peft import PeftModel')
    expect(page).toContain('PeftModel.from_pretrained(model, &quot;out/adapter&quot;)')
    expect(page).toContain('kept: step 200')
    expect(page).toContain('gate_proj')
    const without = reportPage(madeUpReport({ evals: 0, samples: 0 }))
    expect(without).toContain('There was no held-out data')
    expect(without).toContain('No samples')
    expect(without).not.toContain('Exact answers')
  })

  it('is also what the run warned of', () => {
    const data = madeUpReport()
    expect(reportPage(data)).not.toContain('Warnings')
    const page = reportPage({ ...data, run: { ...data.run, warnings: ['nothing <moved>'] } })
    expect(page).toContain('<li>nothing &lt;moved&gt;</li>')
  })

  it('stays text, wherever it comes from', () => {
    const attack = `</style></text></svg><script>alert('x')</script>"'&`
    const data = madeUpReport()
    const page = reportPage({
      ...data,
      args: {
        ...data.args,
        model: attack,
        data: attack,
        out: attack,
        evalData: attack,
        targetModules: attack,
      },
      modelType: attack,
      before: [{ prompt: attack, want: attack, got: `no ${attack} no`, exact: false }],
      after: [{ prompt: attack, want: attack, got: attack, exact: true }],
      layers: data.layers.map(layer => ({ ...layer, path: `${layer.path}${attack}` })),
    })
    expect(matches(page, /<script/g)).toEqual([])
    expect(matches(page, /<\/style>/g).length - matches(page, /<style/g).length).toBe(0)
    expect(matches(page, /<\/svg>/g)).toHaveLength(6)
    expect(page).toContain('&lt;script&gt;alert(')
  })
})

class Tiny extends Module {
  readonly modelType = 'tiny'
  layers: Linear[] = [new Linear(6, 4), new Linear(4, 6)]
  forward(): void {}
}

describe('writeReport', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lowrank-report-'))
  })
  afterAll(() => rm(folder, { recursive: true }))

  it('measures the model and writes one file, over an older one', async () => {
    const model = attach(new Tiny(), { r: 2, loraAlpha: 6, initLoraWeights: false })
    const { layers: _, trainable: __, total: ___, ...rest } = madeUpReport()
    const input = { ...rest, model } as unknown as ReportInput
    const path = join(folder, 'run.html')
    await writeReport(path, input)
    await writeReport(path, input)
    expect(await readdir(folder)).toEqual(['run.html'])
    const page = await readFile(path, 'utf8')
    expect(page).toContain('(tiny)')
    expect(page).toContain('2 adapted layers.')
    // 2·(6 + 4) twice, of that and 2·24 weights and 4 + 6 biases.
    expect(page).toMatch(/<dd class="value">40<\/dd><dd class="note">40.8% of 98<\/dd>/)
  })
})
