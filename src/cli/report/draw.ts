// Draws a chart as SVG text with ECharts' renderer for servers. Colours are variables of the page's
// style, which ECharts passes through, so that one picture serves light and dark. Each chart is
// drawn twice, for wide pages and for phones, since text in a picture does not reflow.

import type { EChartsOption, LegendComponentOption } from 'echarts'
import { HeatmapChart, LineChart } from 'echarts/charts'
import {
  GridComponent,
  LegendComponent,
  MarkLineComponent,
  TitleComponent,
  VisualMapComponent,
} from 'echarts/components'
import { init, use } from 'echarts/core'
import { SVGRenderer } from 'echarts/renderers'
import { Html, html } from './html.ts'

use([
  GridComponent,
  HeatmapChart,
  LegendComponent,
  LineChart,
  MarkLineComponent,
  SVGRenderer,
  TitleComponent,
  VisualMapComponent,
])

/** Pixels that a chart is laid out for. */
export interface Layout {
  readonly width: number
  readonly narrow: boolean
}

export interface Drawing {
  readonly height: number
  readonly option: EChartsOption
}

const LAYOUTS: readonly Layout[] = [
  { width: 1000, narrow: false },
  { width: 340, narrow: true },
]

export const COLORS = {
  ink: 'var(--ink)',
  muted: 'var(--muted)',
  line: 'var(--line)',
  surface: 'var(--surface)',
  training: 'var(--training)',
  held: 'var(--held)',
} as const

export const FONT_SIZE = 12

/** What all charts have in common. */
const COMMON: EChartsOption = {
  animation: false,
  backgroundColor: 'transparent',
  textStyle: { fontFamily: 'inherit', color: COLORS.ink },
}

function svgOf({ height, option }: Drawing, width: number, label: string): Html {
  const chart = init(null, null, { renderer: 'svg', ssr: true, width, height })
  try {
    chart.setOption({ ...COMMON, ...option })
    const svg = chart.renderToSVGString({ useViewBox: true })
    const attributes = html`<svg role="img" aria-label="${label}" `
    return new Html(svg.replace('<svg ', () => attributes.text))
  } finally {
    // Its timers would keep the process alive.
    chart.dispose()
  }
}

/** A chart for both widths; `label` says in words what it shows. */
export function draw(label: string, drawing: (layout: Layout) => Drawing): Html {
  const pictures = LAYOUTS.map(layout => {
    const svg = svgOf(drawing(layout), layout.width, label)
    return html`<div class="chart ${layout.narrow ? 'narrow' : 'wide'}">${svg}</div>`
  })
  return html`${pictures}`
}

/** About the widest that letters are; the font is not known before the page is shown. */
export const LETTER = 7.2

/** What a legend's entry takes beside its text, and between entries. */
const LEGEND_SYMBOL = 23
const LEGEND_GAP = 20
/** About the widest that ECharts, which breaks the legend's rows, takes letters for. */
const LEGEND_LETTER = 6.7

/** A legend in which there is room between entries even if the font is wider than usual. */
export function legendOf(names: readonly string[]): LegendComponentOption {
  return {
    top: 0,
    left: 0,
    padding: 0,
    selectedMode: false,
    itemWidth: 18,
    itemGap: LEGEND_GAP,
    data: [...names],
    textStyle: { color: COLORS.ink, fontSize: FONT_SIZE },
  }
}

/** How many rows that legend needs at most. */
export function legendRows(names: readonly string[], { width }: Layout): number {
  const letters = Math.max(...names.map(name => name.length))
  const entry = letters * LEGEND_LETTER + LEGEND_SYMBOL + LEGEND_GAP
  return Math.ceil(names.length / Math.max(1, Math.floor((width + LEGEND_GAP) / entry)))
}

const AXIS_TEXT = { color: COLORS.muted, fontSize: FONT_SIZE } as const

/** The look of an axis: its name and its numbers muted, hairlines across where wanted. */
export function axisStyle(lines: boolean): object {
  return {
    nameTextStyle: AXIS_TEXT,
    axisLabel: AXIS_TEXT,
    axisLine: { show: !lines, lineStyle: { color: COLORS.line } },
    axisTick: { show: false },
    minorTick: { show: false },
    splitLine: { show: lines, lineStyle: { color: COLORS.line } },
  }
}
