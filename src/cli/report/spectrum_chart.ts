// The singular values of each s·B·A: one panel per projection, one line per block, all on the same
// logarithmic axis, shaded from the first blocks to the last.

import type { EChartsOption, LineSeriesOption } from 'echarts'
import {
  axisStyle,
  COLORS,
  type Drawing,
  draw,
  FONT_SIZE,
  type Layout,
  legendOf,
  legendRows,
} from './draw.ts'
import type { Html } from './html.ts'
import { powerLabel } from './numbers.ts'
import type { Spectra, SpectrumLine } from './weights.ts'

interface Cell {
  readonly left: number
  readonly top: number
  readonly width: number
  readonly height: number
  /** Whether it is the first of its row, which carries the numbers of the axis. */
  readonly first: boolean
}

const AXIS_WIDTH = 44
const GAP = 20
const TITLE = 26
const AXIS_HEIGHT = 34
const LEGEND_ROW = 32
/** Panels with more lines than this have no symbols, and fainter lines. */
const FEW_LINES = 12
/** A point that ends a line. */
const GAP_IN_LINE: (number | string)[] = ['-', '-']

function cellsOf({ panels, shades }: Spectra, layout: Layout): Cell[] {
  const { width, narrow } = layout
  const columns = Math.min(panels.length, narrow ? 2 : 4)
  // Few panels do not grow beyond what one of three would have.
  const slot = Math.min((width - AXIS_WIDTH) / columns, (width - AXIS_WIDTH) / (narrow ? 1 : 3))
  const height = narrow ? 120 : 180
  const above = legendRows(shades, layout) * LEGEND_ROW + TITLE
  return panels.map((_, i) => ({
    left: AXIS_WIDTH + (i % columns) * slot,
    top: above + Math.floor(i / columns) * (TITLE + height + AXIS_HEIGHT),
    width: slot - GAP,
    height,
    first: i % columns === 0,
  }))
}

/** Every whole number while there is room, else the ends and the middle. */
function ticksOf(rank: number): number[] {
  return rank <= 8
    ? Array.from({ length: rank }, (_, i) => i + 1)
    : [1, Math.round((1 + rank) / 2), rank]
}

/** The lines of one panel and one shade are one series with gaps: hundreds of series are slow. */
function seriesOf(
  lines: readonly SpectrumLine[],
  panel: number,
  shade: number,
  shades: readonly string[],
): LineSeriesOption {
  const few = lines.length <= FEW_LINES
  const points = lines.some(({ values }) => values.length === 1) || few
  const data = lines
    .filter(line => line.shade === shade)
    .flatMap(({ values }) => [...values.map((value, i) => [i + 1, value]), GAP_IN_LINE])
  return {
    type: 'line',
    name: shades[shade],
    xAxisIndex: panel,
    yAxisIndex: panel,
    silent: true,
    symbol: points ? 'circle' : 'none',
    symbolSize: lines.every(({ values }) => values.length === 1) ? 8 : 4,
    showAllSymbol: true,
    clip: false,
    color: `var(--shade-${shade})`,
    lineStyle: few ? { width: 1.5, opacity: 0.85 } : { width: 1, opacity: 0.5 },
    data,
  }
}

function axes(spectra: Spectra, cells: readonly Cell[]): Pick<EChartsOption, 'xAxis' | 'yAxis'> {
  const {
    rank,
    ends: [min, max],
  } = spectra
  return {
    xAxis: cells.map((_, i) => ({
      ...axisStyle(false),
      type: 'value',
      gridIndex: i,
      min: rank === 1 ? 0 : 1,
      max: rank === 1 ? 2 : rank,
      axisLabel: { color: COLORS.muted, fontSize: FONT_SIZE, customValues: ticksOf(rank) },
    })),
    yAxis: cells.map(({ first }, i) => ({
      ...axisStyle(true),
      type: 'log',
      gridIndex: i,
      min,
      max,
      axisLabel: { show: first, color: COLORS.muted, fontSize: FONT_SIZE, formatter: powerLabel },
    })),
  }
}

function drawing(spectra: Spectra, layout: Layout): Drawing {
  const { panels, shades } = spectra
  const cells = cellsOf(spectra, layout)
  const last = cells[cells.length - 1]
  return {
    height: last.top + last.height + AXIS_HEIGHT,
    option: {
      title: panels.map(({ projection }, i) => ({
        text: projection,
        left: cells[i].left - 5,
        top: cells[i].top - TITLE,
        textStyle: {
          color: COLORS.ink,
          fontSize: FONT_SIZE + 1,
          fontWeight: 600,
          width: cells[i].width,
          overflow: 'truncate',
        },
      })),
      legend: legendOf(shades),
      grid: cells.map(({ left, top, width, height }) => ({ left, top, width, height })),
      ...axes(spectra, cells),
      series: panels.flatMap(({ lines }, panel) =>
        shades.map((_, shade) => seriesOf(lines, panel, shade, shades)),
      ),
    },
  }
}

/** Draws nothing where every update is zero. */
export function spectrumChart(spectra: Spectra): Html | undefined {
  return spectra.panels.length === 0
    ? undefined
    : draw(spectra.text, layout => drawing(spectra, layout))
}
