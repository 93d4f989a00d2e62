// Tables of what was trained, r·(in + out) numbers per layer, and of memory, planned and measured.

import type { ReportData } from './data.ts'
import { bytes, count, percent, significant } from './numbers.ts'
import { placesOf } from './places.ts'

export interface ParameterRow {
  readonly projection: string
  readonly layers: number
  /** `[out, in]`, once for each shape there is. */
  readonly shapes: string
  readonly ranks: string
  readonly parameters: number
}

/** One row per projection; what is trained beside A and B has a row of its own. */
export function parameterRows({ layers, trainable }: ReportData): ParameterRow[] {
  const places = placesOf(layers.map(({ path }) => path))
  const groups = new Map<string, (typeof layers)[number][]>()
  layers.forEach((layer, i) => {
    const { projection } = places[i]
    groups.set(projection, [...(groups.get(projection) ?? []), layer])
  })
  const rows = [...groups].map(([projection, group]) => ({
    projection,
    layers: group.length,
    shapes: listed(group.map(({ outFeatures, inFeatures }) => `${outFeatures} × ${inFeatures}`)),
    ranks: listed(group.map(({ r }) => String(r))),
    parameters: group.reduce(
      (sum, layer) => sum + layer.r * (layer.outFeatures + layer.inFeatures),
      0,
    ),
  }))
  const rest = trainable - rows.reduce((sum, { parameters }) => sum + parameters, 0)
  return rest === 0
    ? rows
    : [...rows, { projection: 'others', layers: 0, shapes: '', ranks: '', parameters: rest }]
}

function listed(values: readonly string[]): string {
  return [...new Set(values)].join(', ')
}

export interface MemoryRow {
  readonly name: string
  readonly size: string
  /** Whether it is a peak, not a part of one. */
  readonly peak: boolean
}

export function memoryRows({ plan, peak }: ReportData): MemoryRow[] {
  const part = (name: string, value: number): MemoryRow => ({
    name,
    size: bytes(value),
    peak: false,
  })
  return [
    part('Frozen base, in its stored dtype', plan.base),
    part('Adapter, float32', plan.trainable),
    part('Gradients', plan.gradients),
    part('Optimizer state', plan.optimizer),
    part(`One step of ${count(plan.batch)} × ${count(plan.tokens)} tokens`, plan.step),
    { name: 'Peak, planned', size: bytes(plan.total), peak: true },
    { name: 'Peak, measured', size: bytes(peak), peak: true },
  ]
}

/** How far the measured peak is from the planned one, in words. */
export function memoryVerdict({ plan, peak }: ReportData): string {
  const off = plan.total > 0 ? (peak - plan.total) / plan.total : 0
  if (Math.abs(off) < 0.0005) {
    return 'The measured peak is the planned one.'
  }
  return `The measured peak is ${percent(Math.abs(off), 2)} ${off > 0 ? 'above' : 'below'} the plan.`
}

/** The share of what is trained in everything. */
export function trainableShare({ trainable, total }: ReportData): string {
  return total === 0 ? '0%' : `${significant((100 * trainable) / total)}%`
}
