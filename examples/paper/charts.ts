// The pictures: SVG text by ECharts' renderer for servers.

import type { EChartsOption } from 'echarts'
import { HeatmapChart, LineChart } from 'echarts/charts'
import {
  GridComponent,
  LegendComponent,
  TitleComponent,
  VisualMapComponent,
} from 'echarts/components'
import { init, use } from 'echarts/core'
import { SVGRenderer } from 'echarts/renderers'

use([
  GridComponent,
  HeatmapChart,
  LegendComponent,
  LineChart,
  SVGRenderer,
  TitleComponent,
  VisualMapComponent,
])

const WIDTH = 640
const HEIGHT = 300

function svg(option: EChartsOption): string {
  const chart = init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height: HEIGHT })
  try {
    chart.setOption({ animation: false, backgroundColor: '#ffffff', ...option })
    return chart.renderToSVGString({ useViewBox: true })
  } finally {
    chart.dispose()
  }
}

/** Held-out loss over rank, one line per choice of weights. */
export function rankChart(
  ranks: readonly number[],
  lines: readonly { readonly name: string; readonly values: readonly number[] }[],
): string {
  return svg({
    legend: { top: 0 },
    grid: { left: 60, right: 20, top: 40, bottom: 45 },
    xAxis: {
      type: 'category',
      name: 'rank',
      nameLocation: 'middle',
      nameGap: 28,
      data: ranks.map(String),
    },
    yAxis: { type: 'value', name: 'held-out loss', scale: true },
    series: lines.map(({ name, values }) => ({ type: 'line', name, data: [...values] })),
  })
}

function heatmap(table: readonly (readonly number[])[], left: number, index: number): object {
  const cells = table.flatMap((row, i) => row.map((value, j) => [j, i, Number(value.toFixed(4))]))
  return { type: 'heatmap', data: cells, xAxisIndex: index, yAxisIndex: index, left }
}

/** φ(i, j) measured, beside what random subspaces have. */
export function similarityChart(
  titles: readonly [string, string],
  tables: readonly [readonly (readonly number[])[], readonly (readonly number[])[]],
): string {
  const names = (count: number): string[] => Array.from({ length: count }, (_, i) => String(i + 1))
  const places = [60, 370]
  return svg({
    title: titles.map((text, i) => ({
      text,
      left: places[i],
      top: 0,
      textStyle: { fontSize: 13 },
    })),
    grid: places.map(left => ({ left, width: 200, top: 30, bottom: 45 })),
    xAxis: places.map((_, i) => ({
      type: 'category',
      gridIndex: i,
      name: 'j',
      data: names(tables[i][0].length),
    })),
    yAxis: places.map((_, i) => ({
      type: 'category',
      gridIndex: i,
      name: 'i',
      data: names(tables[i].length),
    })),
    visualMap: { min: 0, max: 1, right: 0, top: 60, dimension: 2, calculable: false },
    series: places.map((left, i) => heatmap(tables[i], left, i)) as EChartsOption['series'],
  })
}
