// Numbers of layers as a heat map, the relative change of each weight first of all: blocks from left to
// right, projections from top to bottom, shades of equal width from nothing to the largest one.

import { axisStyle, COLORS, type Drawing, draw, FONT_SIZE, type Layout, LETTER } from './draw.ts'
import type { Html } from './html.ts'
import { percent } from './numbers.ts'
import type { ChangeGrid } from './weights.ts'

/** How many shades the page's style has: `--heat-0` to `--heat-7`, with `--heat-ink-…` on them. */
export const HEAT_SHADES = 8

const WIDEST_CELL = 180
/** Between the shades and the numbers at their ends. */
const SPACE = '\u00a0\u00a0'

function shadeOf(value: number, largest: number): number {
  const shade = largest > 0 ? Math.floor((value / largest) * HEAT_SHADES) : 0
  return Math.min(shade, HEAT_SHADES - 1)
}

function pieces(largest: number): { gte: number; lt: number; color: string }[] {
  return Array.from({ length: HEAT_SHADES }, (_, shade) => ({
    gte: (largest * shade) / HEAT_SHADES,
    lt: shade === HEAT_SHADES - 1 ? Number.MAX_VALUE : (largest * (shade + 1)) / HEAT_SHADES,
    color: `var(--heat-${shade})`,
  }))
}

interface Frame {
  readonly left: number
  readonly cellWidth: number
  readonly cellHeight: number
}

function frameOf({ blocks, projections }: ChangeGrid, { width, narrow }: Layout): Frame {
  const letters = Math.max(...projections.map(name => name.length))
  const left = Math.min(letters * LETTER + 14, width * 0.4)
  const cellWidth = Math.min((width - left - 8) / blocks.length, WIDEST_CELL)
  return { left, cellWidth, cellHeight: narrow ? 26 : 34 }
}

/** What the columns are, and how values read. */
export interface HeatLook {
  readonly column: string
  readonly format: (value: number) => string
}

function drawing(grid: ChangeGrid, look: HeatLook, layout: Layout): Drawing {
  const { blocks, projections, cells, largest } = grid
  const { left, cellWidth, cellHeight } = frameOf(grid, layout)
  const plot = { width: cellWidth * blocks.length, height: cellHeight * projections.length }
  const labelled = cellWidth >= 38
  return {
    height: plot.height + (largest > 0 ? 84 : 50),
    option: {
      grid: { left, top: 6, ...plot },
      xAxis: {
        ...axisStyle(false),
        type: 'category',
        data: [...blocks],
        name: look.column,
        nameLocation: 'middle',
        nameGap: 26,
        axisLine: { show: false },
      },
      yAxis: {
        ...axisStyle(false),
        type: 'category',
        data: [...projections],
        inverse: true,
        axisLine: { show: false },
        axisLabel: {
          color: COLORS.ink,
          fontSize: FONT_SIZE,
          interval: 0,
          width: left - 12,
          overflow: 'truncate',
        },
      },
      visualMap: {
        show: largest > 0,
        type: 'piecewise',
        pieces: pieces(largest),
        orient: 'horizontal',
        left: 0,
        bottom: 0,
        itemGap: 3,
        itemWidth: 22,
        itemHeight: 12,
        itemSymbol: 'rect',
        showLabel: false,
        selectedMode: false,
        text: [`${SPACE}${look.format(largest)}`, `${look.format(0)}${SPACE}`],
        textStyle: { color: COLORS.muted, fontSize: FONT_SIZE },
        padding: 0,
      },
      series: {
        type: 'heatmap',
        silent: true,
        data: cells.map(({ block, projection, value }) => ({
          value: [block, projection, value],
          label: { color: `var(--heat-ink-${shadeOf(value, largest)})` },
        })),
        label: {
          show: labelled,
          fontSize: layout.narrow ? 10 : FONT_SIZE,
          formatter: ({ value }) => look.format((value as number[])[2]),
        },
        itemStyle: { borderColor: COLORS.surface, borderWidth: cellWidth > 12 ? 2 : 0 },
      },
    },
  }
}

export function heatChart(grid: ChangeGrid, look: HeatLook): Html {
  return draw(grid.text, layout => drawing(grid, look, layout))
}

export function changeChart(grid: ChangeGrid): Html {
  return heatChart(grid, { column: 'block', format: value => percent(value, 2) })
}
