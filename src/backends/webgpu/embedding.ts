// Rows of a table in its stored dtype, and their gradients back: added in the order of the index, one
// thread a column. A table too large for one binding is read part by part.

import { HALVES } from './cast.ts'
import { alignedRows, type KernelSources, partOf } from './machine.ts'
import type { Block } from './pool.ts'
import type { Kernel, Program } from './program.ts'

const rowsOfPart: Program = {
  parameters: 'w:[u32] format:u32 index:[i32] y:[f32]! count:u32 first:u32 rows:u32 C:u32',
  threads: ({ count, C }) => count * C,
  uses: [HALVES],
  code: /* wgsl */ `
  let row = u32(index[thread / p.C]);
  if (row < p.first || row >= p.first + p.rows) { return; }
  let at = (row - p.first) * p.C + thread % p.C;
  if (p.format == 0u) { y[thread] = bitcast<f32>(w[at]); return; }
  y[thread] = widened(w[at / 2u], (at & 1u) == 1u, p.format);`,
}

/** Calls `fn` with the parts of a table [rows] that fit a binding. */
export function forParts(
  table: Block,
  rows: number,
  rowBytes: number,
  limit: number,
  fn: (part: Block, first: number, count: number) => void,
): void {
  if (table.bytes <= limit) {
    fn(table, 0, rows)
    return
  }
  const aligned = alignedRows(rowBytes)
  const most = Math.max(aligned, Math.floor(limit / rowBytes / aligned) * aligned)
  for (let first = 0; first < rows; first += most) {
    const count = Math.min(most, rows - first)
    const bytes = Math.ceil((count * rowBytes) / 256) * 256
    const start = first * rowBytes
    fn(partOf(table, start, Math.min(bytes, table.bytes - start)), first, count)
  }
}

export const embeddingKernels: KernelSources = {
  gather_rows: machine => {
    const kernel: Kernel = machine.program(rowsOfPart)
    return (w, format, index, y, count, V, C) => {
      const rowBytes = (C as number) * (format === 0 ? 4 : 2)
      const { bindingLimit } = machine
      forParts(w as Block, V as number, rowBytes, bindingLimit, (part, first, rows) => {
        kernel(part, format, index, y, count, first, rows, C)
      })
    }
  },

  embedding_backward: {
    parameters: 'dy:[f32] index:[i32] dw:[f32]! count:u32 C:u32 padding:i32',
    threads: ({ C }) => C,
    code: /* wgsl */ `
  for (var i = 0u; i < p.count; i++) {
    if (index[i] != p.padding) { dw[u32(index[i]) * p.C + thread] += dy[i * p.C + thread]; }
  }`,
  },
}
