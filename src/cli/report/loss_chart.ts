// The loss curve as a picture: each step faint, the smoothed line over it, held-out losses as dots.

import type { LineSeriesOption } from 'echarts'
import { axisStyle, COLORS, type Drawing, draw, FONT_SIZE, type Layout, legendOf } from './draw.ts'
import type { Html } from './html.ts'
import type { LossCurve, Point } from './loss.ts'
import { count, powerLabel, significant } from './numbers.ts'

function series(
  name: string,
  data: readonly Point[],
  color: string,
  style: Partial<LineSeriesOption>,
): LineSeriesOption {
  return {
    type: 'line',
    name,
    data: data.map(point => [...point]),
    silent: true,
    symbol: data.length === 1 ? 'circle' : 'none',
    symbolSize: 7,
    color,
    ...style,
  }
}

/** A vertical line at the step that was kept. */
function bestLine(step: number, last: number): LineSeriesOption['markLine'] {
  return {
    silent: true,
    symbol: 'none',
    lineStyle: { color: COLORS.held, type: 'dashed' },
    label: {
      formatter: `kept: step ${count(step)}`,
      align: step > 0.8 * last ? 'right' : step < 0.2 * last ? 'left' : 'center',
      color: COLORS.ink,
      fontSize: FONT_SIZE,
      textBorderColor: COLORS.surface,
      textBorderWidth: 3,
    },
    data: [{ xAxis: step }],
  }
}

function seriesOf(curve: LossCurve): LineSeriesOption[] {
  const { steps, smoothed, held, best } = curve
  const long = smoothed.length > 0
  const drawn: LineSeriesOption[] = [
    series(long ? 'each step' : 'training', steps, COLORS.training, {
      lineStyle: { width: long ? 1 : 2, opacity: long ? 0.35 : 1 },
      itemStyle: { opacity: long ? 0.35 : 1 },
      sampling: 'lttb',
    }),
  ]
  if (long) {
    drawn.push(series('smoothed', smoothed, COLORS.training, { lineStyle: { width: 2 } }))
  }
  if (held.length > 0) {
    drawn.push(
      series('held-out', held, COLORS.held, {
        lineStyle: { width: 2 },
        symbol: held.length <= 60 ? 'circle' : 'none',
        markLine: best === undefined ? undefined : bestLine(best, steps.length),
      }),
    )
  }
  return drawn
}

function scaleOf({ logarithmic }: LossCurve): object {
  const formatter = logarithmic ? powerLabel : (value: number) => significant(value)
  const axisLabel = { color: COLORS.muted, fontSize: FONT_SIZE, formatter }
  return logarithmic
    ? { type: 'log', min: logarithmic[0], max: logarithmic[1], axisLabel }
    : { type: 'value', axisLabel }
}

function drawing(curve: LossCurve, { narrow }: Layout): Drawing {
  const lines = seriesOf(curve)
  return {
    height: narrow ? 260 : 380,
    option: {
      grid: { left: 48, right: 20, top: 58, bottom: 44 },
      legend: legendOf(lines.map(({ name }) => String(name))),
      xAxis: {
        ...axisStyle(false),
        type: 'value',
        name: 'step',
        nameLocation: 'middle',
        nameGap: 28,
        min: Math.min(1, curve.steps.length),
        max: Math.max(2, curve.steps.length),
        minInterval: 1,
        splitNumber: narrow ? 4 : 8,
      },
      yAxis: {
        ...axisStyle(true),
        ...scaleOf(curve),
        name: 'nats per token',
        nameTextStyle: { color: COLORS.muted, fontSize: FONT_SIZE, align: 'left' },
        nameGap: 14,
      },
      series: lines,
    },
  }
}

export function lossChart(curve: LossCurve): Html {
  return draw(curve.text, layout => drawing(curve, layout))
}
