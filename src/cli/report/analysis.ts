// The pictures of `lowrank analyze` as one HTML file that needs nothing else.

import type { LayerAnalysis } from '../analyze.ts'
import { changeChart, heatChart } from './change_chart.ts'
import { type Content, Html, html } from './html.ts'
import { count, percent, significant } from './numbers.ts'
import { POLICY } from './page.ts'
import { amplificationGrid, similarityGrids } from './similarity.ts'
import { spectrumChart } from './spectrum_chart.ts'
import { STYLE } from './style.ts'
import { layerTable } from './tables.ts'
import { changeGrid, spectra } from './weights.ts'

export interface AnalysisData {
  readonly model: string
  readonly adapter: string
  readonly other?: string
  readonly layers: readonly LayerAnalysis[]
}

function section(id: string, title: string, lead: Content, ...content: readonly Content[]): Html {
  return html`<section aria-labelledby="${id}"><h2 id="${id}">${title}</h2><p class="lead">${lead}</p>${content}</section>`
}

function figure(picture: Html, caption: string): Html {
  return html`<figure>${picture}<figcaption>${caption}</figcaption></figure>`
}

function changeSection(layers: readonly LayerAnalysis[]): Html {
  const grid = changeGrid(layers)
  return section(
    'change',
    'Change of each layer',
    'How much the adapter changes each weight: ‖ΔW‖ / ‖W‖, with ΔW = s·B·A and Frobenius norms.',
    figure(changeChart(grid), grid.text),
    html`<details><summary>The values as a table</summary>${layerTable(layers)}</details>`,
  )
}

function spectrumSection(layers: readonly LayerAnalysis[]): Html {
  const all = spectra(layers)
  const chart = spectrumChart(all)
  return section(
    'spectrum',
    'Singular values of the updates',
    'σ₁, σ₂, … of each s·B·A. A line that falls steeply means that a smaller rank would do.',
    chart ? figure(chart, all.text) : html`<p>${all.text}</p>`,
  )
}

function amplificationSection(layers: readonly LayerAnalysis[]): Html {
  const grid = amplificationGrid(layers)
  const picture = (): Html =>
    heatChart(grid, { column: 'block', format: value => significant(value, 2) })
  return section(
    'amplification',
    'Amplification',
    'How strongly ΔW acts in its own directions, measured by what W does there: ‖ΔW‖ / ‖UᵀWV‖. A large ' +
      'factor means that the base had these directions, but hardly used them.',
    grid.cells.length > 0 ? figure(picture(), grid.text) : html`<p>${grid.text}</p>`,
  )
}

function similaritySection({ layers, other }: AnalysisData): Html | undefined {
  const grids = similarityGrids(layers)
  if (other === undefined || !grids) {
    return undefined
  }
  const look = {
    column: 'j, directions of the other adapter',
    format: (value: number) => percent(value, 2),
  }
  return section(
    'similarity',
    'Similarity of two adapters',
    html`φ(i, j): how much of the space of the first i directions of A in this adapter (from top to bottom) and the first j in <code>${other}</code> is shared.`,
    figure(heatChart(grids.similarity, look), grids.similarity.text),
    figure(heatChart(grids.random, look), grids.random.text),
  )
}

export function analysisPage(data: AnalysisData): string {
  const { model, adapter, layers } = data
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<title>Analysis of ${adapter}</title>
<style>${new Html(STYLE)}</style>
</head>
<body>
<main>
<header><h1>Analysis of an adapter</h1>
<p class="lead"><code>${adapter}</code> on <code>${model}</code>, ${count(layers.length)} layers</p></header>
${changeSection(layers)}
${spectrumSection(layers)}
${amplificationSection(layers)}
${similaritySection(data)}
</main>
</body>
</html>
`
  return page.text
}
