// Rotary position embedding: one thread for each element of x [B, T, H, D], by its partner in the other
// half; formulas in src/ops/rope.ts.

import type { KernelSources } from './machine.ts'

export const ropeKernels: KernelSources = {
  rope: {
    parameters:
      'x:[f32] cosines:[f32] sines:[f32] positions:[i32] hasPositions:u32 offset:u32 y:[f32]! ' +
      'B:u32 T:u32 H:u32 D:u32 half:u32 sign:f32',
    threads: ({ B, T, H, D }) => B * T * H * D,
    code: /* wgsl */ `
  let i = thread % p.D;
  let row = thread / p.D / p.H;
  if (i >= 2u * p.half) { y[thread] = x[thread]; return; }
  var position = p.offset + row % p.T;
  if (p.hasPositions == 1u) { position = u32(positions[row]); }
  let upper = i >= p.half;
  let at = position * p.half + select(i, i - p.half, upper);
  let s = p.sign * sines[at];
  let partner = select(-x[thread + p.half], x[thread - p.half], upper);
  y[thread] = x[thread] * cosines[at] + partner * s;`,
  },
}
