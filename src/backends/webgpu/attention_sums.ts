// Σ_i factor[i] · row[i] over a block of rows of `size` elements, as the passes of attention need it for y, dq,
// dk and dv. Where rows begin at fours, a lane keeps four neighbours of the sum and takes every P-th row:
// Q = size / 4 lanes share a row, P = ⌊64 / Q⌋ rows are taken at a time, and in the end P parts are added up.
// Else, or for longer rows, a lane keeps the elements lane, lane + 64, … and takes all rows.

import { eachElement, LANES } from './attention_text.ts'

/** What is added up: elements of `operand` by the numbers in the workgroup's array `factors`. */
export interface Summed {
  readonly name: string
  readonly operand: string
  readonly factors: string
  readonly size: number
  /** The size by its name among the kernel's numbers. */
  readonly length: 'p.D' | 'p.Dv'
}

/** The size that a program is written for: where rows begin anywhere, it does for some smaller ones too. */
export function writtenSize(size: number, aligned: boolean): number {
  return aligned ? size : Math.ceil(size / LANES) * LANES
}

/** The text of one sum, in the order in which its parts appear. */
export interface Sums {
  readonly declared: string
  readonly multiplied: (factor: string) => string
  /** Adds `count` rows, `at(i)` being where row i begins. */
  readonly added: (count: string, at: string) => string
  /** Stores by `store(place, value)`; every lane has to come by. */
  readonly stored: (store: (place: string, value: string) => string) => string
}

export const PARTS = 'var<workgroup> parts: array<vec4f, SIZE>;'

function byFours({ name, operand, factors, size }: Summed): Sums {
  const quads = size / 4
  const rows = Math.floor(LANES / quads)
  const mine = `parts[lane + row * ${quads}u]`
  return {
    declared: `var ${name} = vec4f();`,
    multiplied: factor => `${name} *= ${factor};`,
    added: (count, at) => /* wgsl */ `
    for (var i = select(lane / ${quads}u, ${count}, lane >= ${quads * rows}u); i < ${count}; i += ${rows}u) {
      ${name} += ${factors}[i] * ${operand}[${at} / 4u + lane % ${quads}u];
    }`,
    stored: store => /* wgsl */ `
  parts[lane] = ${name};
  workgroupBarrier();
  if (lane < ${quads}u) {
    for (var row = 1u; row < ${rows}u; row++) { ${name} += ${mine}; }
    for (var c = 0u; c < 4u; c++) { ${store('(4u * lane + c)', `${name}[c]`)} }
  }
  workgroupBarrier();`,
  }
}

function byElements({ name, operand, factors, size, length }: Summed): Sums {
  return {
    declared: eachElement(size, e => `var ${name}${e} = 0.0;`),
    multiplied: factor => eachElement(size, e => `${name}${e} *= ${factor};`),
    added: (count, at) => /* wgsl */ `
    for (var i = 0u; i < ${count}; i++) {
      let at = ${at};
      ${eachElement(size, (e, place) => `${name}${e} += ${factors}[i] * one_of_${operand}(at + ${place});`)}
    }`,
    stored: store =>
      eachElement(
        size,
        (e, place) => `if (${place} < ${length}) { ${store(place, `${name}${e}`)} }`,
      ),
  }
}

/** The text of a sum over rows that begin at fours or anywhere. */
export function sumsOf(summed: Summed, aligned: boolean): Sums {
  const fits = summed.size > 0 && summed.size <= 4 * LANES
  return aligned && fits ? byFours(summed) : byElements(summed)
}
