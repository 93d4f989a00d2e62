// Filling, copying and adding up whole buffers, and copies between views with strides.

import type { KernelSources } from './machine.ts'
import type { Program } from './program.ts'

/** y[count] = source[at …], as words: an upload on its way out of the array it came in. */
export const copyWords: Program = {
  parameters: 'source:[u32] at:u32 y:[u32]! count:u32',
  threads: ({ count }) => count,
  code: 'y[thread] = source[p.at + thread];',
}

export const copyKernels: KernelSources = {
  fill: {
    parameters: 'y:[f32]! value:f32 n:u32',
    threads: ({ n }) => n,
    code: 'y[thread] = p.value;',
  },

  copy: {
    parameters: 'x:[u32] y:[u32]! n:u32',
    threads: ({ n }) => n,
    code: 'y[thread] = x[thread];',
  },

  accumulate: {
    parameters: 'x:[f32] y:[f32]! n:u32',
    threads: ({ n }) => n,
    code: 'y[thread] += x[thread];',
  },

  copy_strided: {
    parameters:
      'x:[u32] xOffset:u32 x0:u32 x1:u32 x2:u32 x3:u32 ' +
      'y:[u32]! yOffset:u32 y0:u32 y1:u32 y2:u32 y3:u32 n0:u32 n1:u32 n2:u32 n3:u32',
    threads: ({ n0, n1, n2, n3 }) => n0 * n1 * n2 * n3,
    code: /* wgsl */ `
  let d = thread % p.n3;
  let c = thread / p.n3 % p.n2;
  let b = thread / p.n3 / p.n2 % p.n1;
  let a = thread / p.n3 / p.n2 / p.n1;
  y[p.yOffset + a * p.y0 + b * p.y1 + c * p.y2 + d * p.y3] =
    x[p.xOffset + a * p.x0 + b * p.x1 + c * p.x2 + d * p.x3];`,
  },
}
