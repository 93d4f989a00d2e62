// y = silu(gate) up; gate and up may be parts of matrices, their gradients may overwrite them.

import type { KernelSources } from './machine.ts'
import { SILU } from './silu.ts'

const PLACES = /* wgsl */ `
  let row = thread / p.cols;
  let column = thread % p.cols;
  let g = p.gateOffset + row * p.gateStride + column;
  let u = p.upOffset + row * p.upStride + column;`

export const swigluKernels: KernelSources = {
  swiglu: {
    parameters:
      'gate:[f32] gateOffset:u32 gateStride:u32 up:[f32] upOffset:u32 upStride:u32 ' +
      'y:[f32]! rows:u32 cols:u32',
    threads: ({ rows, cols }) => rows * cols,
    uses: SILU,
    code: `${PLACES} y[thread] = silu(gate[g]) * up[u];`,
  },

  swiglu_backward: {
    parameters:
      'gate:[f32] gateOffset:u32 gateStride:u32 up:[f32] upOffset:u32 upStride:u32 dy:[f32] ' +
      'dgate:[f32]! dup:[f32]! rows:u32 cols:u32',
    threads: ({ rows, cols }) => rows * cols,
    uses: SILU,
    code: /* wgsl */ `${PLACES}
  let v = gate[g];
  let w = up[u];
  let d = dy[thread];
  dgate[g] = d * w * silu_slope(v);
  dup[u] = d * silu(v);`,
  },
}
