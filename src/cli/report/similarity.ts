// Two grids of numbers from the analysis: the amplification of each layer, and the similarity φ(i, j) of
// two adapters, averaged over the layers that both have, beside what random subspaces would have.

import type { Amplification, SubspaceSimilarities } from '../../analysis/index.ts'
import { counted, significant } from './numbers.ts'
import { placesOf } from './places.ts'
import type { ChangeGrid } from './weights.ts'

const unique = (names: readonly string[]): string[] => [...new Set(names)]

/** The amplification factor as a grid of projections × blocks. */
export function amplificationGrid(
  layers: readonly { readonly path: string; readonly amplification?: Amplification }[],
): ChangeGrid {
  const known = layers.filter(layer => layer.amplification)
  const places = placesOf(known.map(({ path }) => path))
  const blocks = unique(places.map(({ block }) => block))
  const projections = unique(places.map(({ projection }) => projection))
  const cells = known.map(({ amplification }, i) => ({
    block: blocks.indexOf(places[i].block),
    projection: projections.indexOf(places[i].projection),
    value: amplification?.factor ?? 0,
  }))
  const values = cells.map(({ value }) => value).filter(Number.isFinite)
  const mean = values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length)
  return {
    blocks,
    projections,
    cells: cells.filter(({ value }) => Number.isFinite(value)),
    largest: Math.max(0, ...values),
    text:
      values.length === 0
        ? 'Every update is zero.'
        : `Directions of ${counted(values.length, 'update')} are amplified ${significant(mean)} times on average.`,
  }
}

/** The mean over layers of tables, as far as all of them reach. */
function meanTable(tables: readonly (readonly (readonly number[])[])[]): number[][] {
  const rows = Math.min(...tables.map(table => table.length))
  const cols = Math.min(...tables.map(table => table[0]?.length ?? 0))
  return Array.from({ length: rows }, (_, i) =>
    Array.from({ length: cols }, (_, j) => {
      return tables.reduce((sum, table) => sum + table[i][j], 0) / tables.length
    }),
  )
}

function gridOf(table: readonly (readonly number[])[], text: string): ChangeGrid {
  const numbers = (count: number): string[] => Array.from({ length: count }, (_, i) => `${i + 1}`)
  return {
    blocks: numbers(table[0]?.length ?? 0),
    projections: numbers(table.length),
    cells: table.flatMap((row, projection) =>
      row.map((value, block) => ({ block, projection, value })),
    ),
    // Both pictures on one scale: φ is a share.
    largest: 1,
    text,
  }
}

export interface SimilarityGrids {
  readonly similarity: ChangeGrid
  readonly random: ChangeGrid
}

/** The two grids; none where no layer has both adapters. */
export function similarityGrids(
  layers: readonly { readonly similarities?: SubspaceSimilarities }[],
): SimilarityGrids | undefined {
  const known = layers.flatMap(({ similarities }) => similarities ?? [])
  const filled = known.filter(({ similarity }) => similarity.length > 0)
  if (filled.length === 0) {
    return undefined
  }
  const similarity = meanTable(filled.map(layer => layer.similarity))
  const random = meanTable(filled.map(layer => layer.random))
  const [first, chance] = [similarity[0][0], random[0][0]]
  const what = `the first directions of both in ${counted(filled.length, 'layer')}`
  return {
    similarity: gridOf(
      similarity,
      `The similarity of ${what} is ${significant(first)}; random ones would have ${significant(chance)}.`,
    ),
    random: gridOf(random, 'What random subspaces of the same sizes have on average.'),
  }
}
