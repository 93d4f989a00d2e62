// The sections of the report, from top to bottom.

import { changeChart } from './change_chart.ts'
import type { ReportData } from './data.ts'
import { type Content, type Html, html } from './html.ts'
import { lossCurve, lossEnds } from './loss.ts'
import { lossChart } from './loss_chart.ts'
import { bytes, count, counted, duration, shortCount, significant } from './numbers.ts'
import { memoryVerdict, trainableShare } from './parameters.ts'
import { samplesOf } from './samples.ts'
import { commandLine, settingRows, snippets } from './settings.ts'
import { spectrumChart } from './spectrum_chart.ts'
import {
  layerTable,
  lossTable,
  memoryTable,
  parameterTable,
  sampleTable,
  settingTable,
} from './tables.ts'
import { changeGrid, spectra } from './weights.ts'

type Tile = readonly [name: string, value: string, note: string]

function section(id: string, title: string, ...content: readonly Content[]): Html {
  return html`<section aria-labelledby="${id}"><h2 id="${id}">${title}</h2>${content}</section>`
}

function figure(picture: Html, caption: string, values: Html): Html {
  return html`<figure>${picture}<figcaption>${caption}</figcaption></figure>
<details><summary>The values as a table</summary>${values}</details>`
}

function lead(text: Content): Html {
  return html`<p class="lead">${text}</p>`
}

function exactTile({ before, after }: ReportData): Tile[] {
  const exact = (list: ReportData['before']): number => list.filter(item => item.exact).length
  return after.length === 0
    ? []
    : [
        [
          'Exact answers',
          `${exact(before)} → ${exact(after)}`,
          `of ${counted(after.length, 'sample')}, before → after`,
        ],
      ]
}

function lossTile({ run }: ReportData): Tile[] {
  const { evals, bestStep } = run
  const kept = evals.find(({ step }) => step === bestStep)
  const tiles: Tile[] = []
  const { first, last } = lossEnds(run.losses)
  if (first !== undefined && last !== undefined) {
    const from = run.losses.length > 1 ? `, from ${significant(first)}` : ''
    tiles.push(['Training loss', significant(last), `nats per token${from}`])
  }
  if (kept) {
    tiles.push(['Held-out loss', significant(kept.loss), `lowest, at step ${count(kept.step)}`])
  }
  return tiles
}

function tilesOf(data: ReportData): Tile[] {
  const { run, trainable, peak } = data
  const speed = run.seconds > 0 ? `${count(Math.round(run.tokens / run.seconds))} tokens/s` : ''
  return [
    ...exactTile(data),
    ...lossTile(data),
    [
      'Trained parameters',
      shortCount(trainable),
      `${trainableShare(data)} of ${shortCount(data.total)}`,
    ],
    ['Peak memory', bytes(peak), `planned ${bytes(data.plan.total)}`],
    ['Training time', duration(run.seconds), `${counted(run.steps, 'step')}, ${speed}`],
  ]
}

export function header(data: ReportData): Html {
  const { args, modelType } = data
  const tiles = tilesOf(data).map(
    ([name, value, note]) =>
      html`<div><dt>${name}</dt><dd class="value">${value}</dd><dd class="note">${note}</dd></div>`,
  )
  return html`<header><h1>LoRA fine-tuning</h1>
<p class="lead"><code>${args.model}</code> (${modelType}) on <code>${args.data}</code>, rank ${args.r}, adapter in <code>${args.out}</code></p></header>
<dl class="tiles">${tiles}</dl>`
}

/** What the run was not silent about; nothing where all is well. */
export function warningSection({ run }: ReportData): Html | undefined {
  const items = run.warnings.map(warning => html`<li>${warning}</li>`)
  return items.length === 0 ? undefined : section('warnings', 'Warnings', html`<ul>${items}</ul>`)
}

export function lossSection(data: ReportData): Html {
  const curve = lossCurve(data)
  const how =
    curve.held.length > 0
      ? 'The mean cross-entropy of the tokens to learn, in each step and on held-out data. ' +
        'The adapter of the lowest held-out loss is kept.'
      : 'The mean cross-entropy of the tokens to learn in each step. There was no held-out data, ' +
        'so the last adapter is kept.'
  const scale = curve.logarithmic ? ' The scale is logarithmic.' : ''
  return section(
    'loss',
    'Loss',
    lead(how + scale),
    curve.steps.length === 0
      ? html`<p>${curve.text}</p>`
      : figure(lossChart(curve), curve.text, lossTable(curve)),
  )
}

export function sampleSection(data: ReportData): Html {
  const samples = samplesOf(data)
  if (samples.length === 0) {
    return section(
      'samples',
      'Before and after',
      lead('No samples: none were asked for, or the data has no prompts with completions.'),
    )
  }
  const { sampleData, evalData } = data.args
  const source = (sampleData ?? evalData) === undefined ? 'training' : 'held-out'
  return section(
    'samples',
    'Before and after',
    lead(
      html`Answers to ${source} prompts, the likeliest token each time. <del>Struck out</del>: not in the wanted answer. <ins>Dotted</ins>: wanted, but not there.`,
    ),
    sampleTable(samples),
  )
}

export function sizeSection(data: ReportData): Html {
  return section(
    'size',
    'Parameters and memory',
    lead('What was trained, and what training it took.'),
    html`<div class="columns"><div>${parameterTable(data)}</div>
<div>${memoryTable(data)}<p class="muted">${memoryVerdict(data)}</p></div></div>`,
  )
}

export function changeSection({ layers }: ReportData): Html {
  const what = html`How much the adapter changes each weight: ‖ΔW‖ / ‖W‖, with ΔW = s·B·A and Frobenius norms.`
  if (layers.length === 0) {
    return section('change', 'Change of each layer', lead('No layer is adapted.'))
  }
  const grid = changeGrid(layers)
  return section(
    'change',
    'Change of each layer',
    lead(what),
    figure(changeChart(grid), grid.text, layerTable(layers)),
  )
}

export function spectrumSection({ layers }: ReportData): Html | undefined {
  if (layers.length === 0) {
    return undefined
  }
  const all = spectra(layers)
  const chart = spectrumChart(all)
  const how =
    'The singular values σ₁, σ₂, … of each s·B·A, one line per layer. A line that falls steeply ' +
    'means that a smaller rank would do; a flat one uses its whole rank. The scale is logarithmic.'
  return section(
    'spectrum',
    'Singular values of the updates',
    lead(how),
    chart
      ? html`<figure>${chart}<figcaption>${all.text}</figcaption></figure>`
      : html`<p>${all.text}</p>`,
  )
}

export function settingSection({ args }: ReportData): Html {
  const rows = settingRows(args)
  const half = Math.ceil(rows.length / 2)
  return section(
    'settings',
    'Settings',
    html`<div class="columns"><div>${settingTable(rows.slice(0, half))}</div>
<div>${settingTable(rows.slice(half))}</div></div>
<h3>The command that repeats the run</h3><pre tabindex="0">${commandLine(args)}</pre>`,
  )
}

export function useSection({ args }: ReportData): Html {
  const blocks = snippets(args).map(
    ([title, code]) => html`<h3>${title}</h3><pre tabindex="0">${code}</pre>`,
  )
  return section('use', 'Load the adapter', blocks)
}
