// How the change of weights is laid out: ‖ΔW‖_F / ‖W‖_F as a grid of projections × blocks, and the
// singular values of each s·B·A as one panel per projection, one line per block.

import type { LayerChange } from '../../analysis/index.ts'
import { count, counted, logarithmicEnds, percent, significant } from './numbers.ts'
import { placesOf } from './places.ts'

export interface ChangeGrid {
  readonly blocks: readonly string[]
  readonly projections: readonly string[]
  readonly cells: readonly { block: number; projection: number; value: number }[]
  readonly largest: number
  readonly text: string
}

function unique(names: readonly string[]): string[] {
  return [...new Set(names)]
}

/** A change that is no number, where a weight is zero, has no colour. */
export function changeGrid(layers: readonly LayerChange[]): ChangeGrid {
  const places = placesOf(layers.map(({ path }) => path))
  const blocks = unique(places.map(({ block }) => block))
  const projections = unique(places.map(({ projection }) => projection))
  const cells = layers
    .map(({ relativeChange: value }, i) => ({
      block: blocks.indexOf(places[i].block),
      projection: projections.indexOf(places[i].projection),
      value,
    }))
    .filter(({ value }) => Number.isFinite(value))
  const most = cells.reduce<(typeof cells)[number] | undefined>(
    (best, cell) => (best === undefined || cell.value > best.value ? cell : best),
    undefined,
  )
  const where = most && `${projections[most.projection]} of block ${blocks[most.block]}`
  return {
    blocks,
    projections,
    cells,
    largest: most?.value ?? 0,
    text:
      most === undefined || most.value === 0
        ? `No change in ${counted(layers.length, 'adapted layer')}.`
        : `${counted(layers.length, 'adapted layer')}. ` +
          `The largest change is ${percent(most.value)}, in ${where}.`,
  }
}

export interface SpectrumLine {
  readonly block: string
  /** Which of the shades it has, from the first blocks to the last. */
  readonly shade: number
  /** σ₁, σ₂, …, as long as they stand out of float32's rounding. */
  readonly values: readonly number[]
}

export interface Spectra {
  readonly panels: readonly { projection: string; lines: readonly SpectrumLine[] }[]
  /** What each shade stands for. */
  readonly shades: readonly string[]
  /** The longest line. */
  readonly rank: number
  /** Of the logarithmic axis around all values. */
  readonly ends: readonly [low: number, high: number]
  readonly text: string
}

export const SHADES = 6
/** Below this share of the largest one, a singular value is rounding. */
const NEGLIGIBLE = 1e-6

/** Blocks in at most SHADES groups of neighbours. */
function shadesOf(blocks: readonly string[]): { shade: number[]; names: string[] } {
  const groups = Math.min(SHADES, blocks.length)
  const shade = blocks.map((_, i) => Math.floor((i * groups) / blocks.length))
  const names = Array.from({ length: groups }, (_, group) => {
    const first = blocks[shade.indexOf(group)]
    const last = blocks[shade.lastIndexOf(group)]
    return first === last ? `block ${first}` : `blocks ${first} to ${last}`
  })
  return { shade, names }
}

function describeSpectra(layers: readonly LayerChange[]): string {
  const ranks = layers.filter(({ deltaNorm }) => deltaNorm > 0).map(layer => layer.effectiveRank)
  if (ranks.length === 0) {
    return 'Every update is zero.'
  }
  const mean = ranks.reduce((sum, rank) => sum + rank, 0) / ranks.length
  const r = Math.max(...layers.map(layer => layer.r))
  return (
    `Singular values of ${counted(layers.length, 'update')} of rank ${count(r)}. ` +
    `The effective rank is ${significant(mean)} on average.`
  )
}

export function spectra(layers: readonly LayerChange[]): Spectra {
  const places = placesOf(layers.map(({ path }) => path))
  const blocks = unique(places.map(({ block }) => block))
  const { shade, names } = shadesOf(blocks)
  const largest = layers.reduce((most, layer) => Math.max(most, layer.singularValues[0] ?? 0), 0)
  const lines = layers.map(({ singularValues }, i) => ({
    ...places[i],
    shade: shade[blocks.indexOf(places[i].block)],
    values: singularValues.filter(value => value > NEGLIGIBLE * largest),
  }))
  const drawn = lines.filter(({ values }) => values.length > 0)
  const smallest = drawn.reduce((least, { values }) => Math.min(least, values.at(-1)!), largest)
  return {
    panels: unique(drawn.map(({ projection }) => projection)).map(projection => ({
      projection,
      lines: drawn.filter(line => line.projection === projection),
    })),
    shades: names,
    rank: drawn.reduce((most, { values }) => Math.max(most, values.length), 0),
    ends: largest > 0 ? logarithmicEnds(smallest, largest) : [1, 10],
    text: describeSpectra(layers),
  }
}
