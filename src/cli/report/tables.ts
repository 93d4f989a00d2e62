// The tables of the report.

import type { LayerChange } from '../../analysis/index.ts'
import type { ReportData } from './data.ts'
import { type Content, type Html, html } from './html.ts'
import type { LossCurve } from './loss.ts'
import { count, percent, significant } from './numbers.ts'
import { memoryRows, parameterRows, trainableShare } from './parameters.ts'
import type { Answer, Piece, Sample } from './samples.ts'

/** A column: its header, and whether it holds numbers. */
type Column = readonly [name: string, numbers?: boolean]

function headers(columns: readonly Column[]): Html {
  const cells = columns.map(
    ([name, numbers]) => html`<th scope="col"${numbers ? html` class="number"` : ''}>${name}</th>`,
  )
  return html`<thead><tr>${cells}</tr></thead>`
}

/** A row whose first cell names it. */
function row(columns: readonly Column[], cells: readonly Content[], kind: string = ''): Html {
  const [first, ...rest] = cells
  const others = rest.map((cell, i) =>
    columns[i + 1][1] ? html`<td class="number">${cell}</td>` : html`<td>${cell}</td>`,
  )
  return html`<tr${kind ? html` class="${kind}"` : ''}><th scope="row">${first}</th>${others}</tr>`
}

function table(caption: string, columns: readonly Column[], rows: readonly Html[]): Html {
  return html`<div class="scroll"><table aria-label="${caption}">${headers(columns)}<tbody>${rows}</tbody></table></div>`
}

const PARAMETER_COLUMNS: readonly Column[] = [
  ['Projection'],
  ['Layers', true],
  ['out × in'],
  ['r', true],
  ['Parameters', true],
]

export function parameterTable(data: ReportData): Html {
  const rows = parameterRows(data).map(({ projection, layers, shapes, ranks, parameters }) =>
    row(PARAMETER_COLUMNS, [projection, layers || '', shapes, ranks, count(parameters)]),
  )
  const share = `${trainableShare(data)} of ${count(data.total)}`
  const total = row(PARAMETER_COLUMNS, ['Trained', '', share, '', count(data.trainable)], 'total')
  return table('Trained parameters', PARAMETER_COLUMNS, [...rows, total])
}

const MEMORY_COLUMNS: readonly Column[] = [['Memory'], ['Size', true]]

export function memoryTable(data: ReportData): Html {
  const rows = memoryRows(data).map(({ name, size, peak }) =>
    row(MEMORY_COLUMNS, [name, size], peak ? 'total' : ''),
  )
  return table('Memory', MEMORY_COLUMNS, rows)
}

const LOSS_COLUMNS: readonly Column[] = [
  ['Step', true],
  ['Training', true],
  ['Held-out', true],
]
/** So many steps of a long run are listed, evenly spread; evaluated ones always are. */
const LISTED_STEPS = 40

export function lossTable({ steps, held }: LossCurve): Html {
  const stride = Math.max(1, Math.ceil(steps.length / LISTED_STEPS))
  const evaluated = new Map(held)
  const rows = steps
    .filter(([step], i) => i % stride === 0 || i === steps.length - 1 || evaluated.has(step))
    .map(([step, loss]) => {
      const other = evaluated.get(step)
      const cells = [count(step), significant(loss, 4), other && significant(other, 4)]
      return row(LOSS_COLUMNS, cells)
    })
  return table('Losses', LOSS_COLUMNS, rows)
}

const LAYER_COLUMNS: readonly Column[] = [
  ['Layer'],
  ['r', true],
  ['‖ΔW‖', true],
  ['‖W‖', true],
  ['‖ΔW‖ / ‖W‖', true],
  ['effective rank', true],
  ['largest σ', true],
]

export function layerTable(layers: readonly LayerChange[]): Html {
  const rows = layers.map(layer =>
    row(LAYER_COLUMNS, [
      layer.path || 'layer',
      count(layer.r),
      significant(layer.deltaNorm),
      significant(layer.weightNorm),
      percent(layer.relativeChange),
      significant(layer.effectiveRank),
      significant(layer.singularValues[0] ?? 0),
    ]),
  )
  return table('Change of each layer', LAYER_COLUMNS, rows)
}

const SETTING_COLUMNS: readonly Column[] = [['Setting'], ['Value']]

export function settingTable(rows: readonly (readonly [string, string])[]): Html {
  return table(
    'Settings',
    SETTING_COLUMNS,
    rows.map(([label, value]) => row(SETTING_COLUMNS, [label, html`<code>${value}</code>`])),
  )
}

/** Text that may be broken after punctuation: JSON has no spaces. */
function breakable(text: string): Html {
  const parts = text.split(/(?<=[,;])/)
  return html`${parts.map((part, i) => (i === 0 ? part : html`<wbr>${part}`))}`
}

function pieceOf({ kind, text }: Piece): Html {
  const shown = breakable(text)
  if (kind === 'extra') {
    return html`<del>${shown}</del>`
  }
  return kind === 'missing' ? html`<ins>${shown}</ins>` : shown
}

function answer({ exact, pieces }: Answer): Html {
  const verdict = exact
    ? html`<span class="verdict exact">✓ exact</span>`
    : html`<span class="verdict wrong">✗ differs</span>`
  const text =
    pieces.length === 0
      ? html`<span class="muted">nothing</span>`
      : html`<span class="text">${pieces.map(pieceOf)}</span>`
  return html`${verdict}${text}`
}

// Roles are written out because a table that is displayed as blocks loses them.
function cell(name: string, content: Html): Html {
  return html`<td role="cell" data-name="${name}">${content}</td>`
}

export function sampleTable(samples: readonly Sample[]): Html {
  const names = ['Prompt', 'Wanted', 'Before', 'After']
  const heads = names.map(name => html`<th role="columnheader" scope="col">${name}</th>`)
  const text = (value: string): Html => html`<span class="text">${breakable(value)}</span>`
  const rows = samples.map(({ prompt, want, before, after }) => {
    const contents = [text(prompt), text(want), answer(before), answer(after)]
    return html`<tr role="row">${contents.map((content, i) => cell(names[i], content))}</tr>`
  })
  return html`<table class="samples" role="table" aria-label="Samples">
<thead role="rowgroup"><tr role="row">${heads}</tr></thead><tbody role="rowgroup">${rows}</tbody></table>`
}
