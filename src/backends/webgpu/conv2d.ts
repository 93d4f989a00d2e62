// The parts of a convolution beside products: patches of an image as columns, columns added back to the
// image (each of its elements collects its own), a bias per channel, and its gradient.

import type { KernelSources } from './machine.ts'
import { GROUP_SUM } from './reduction.ts'

const SIZES =
  'C:u32 H:u32 W:u32 kh:u32 kw:u32 strideH:u32 strideW:u32 padH:u32 padW:u32 dilH:u32 dilW:u32 ' +
  'r0:u32 rows:u32 OW:u32'

export const convKernels: KernelSources = {
  im2col: {
    parameters: `image:[f32] imageOffset:u32 columns:[f32]! ${SIZES}`,
    threads: ({ C, kh, kw, rows, OW }) => C * kh * kw * rows * OW,
    code: /* wgsl */ `
  let s = thread % p.OW;
  let r = thread / p.OW % p.rows + p.r0;
  let tap = thread / p.OW / p.rows;
  let j = tap % p.kw;
  let i = tap / p.kw % p.kh;
  let c = tap / p.kw / p.kh;
  let h = i32(r * p.strideH + i * p.dilH) - i32(p.padH);
  let w = i32(s * p.strideW + j * p.dilW) - i32(p.padW);
  let inside = h >= 0 && h < i32(p.H) && w >= 0 && w < i32(p.W);
  var value = 0.0;
  if (inside) { value = image[p.imageOffset + (c * p.H + u32(h)) * p.W + u32(w)]; }
  columns[thread] = value;`,
  },

  col2im: {
    parameters: `image:[f32]! imageOffset:u32 columns:[f32] ${SIZES}`,
    threads: ({ C, H, W }) => C * H * W,
    code: /* wgsl */ `
  let w = i32(thread % p.W + p.padW);
  let h = i32(thread / p.W % p.H + p.padH);
  let c = thread / p.W / p.H;
  var sum = 0.0;
  for (var i = 0u; i < p.kh; i++) {
    let y = h - i32(i * p.dilH);
    let r = y / i32(p.strideH) - i32(p.r0);
    if (y < 0 || y % i32(p.strideH) != 0 || r < 0 || r >= i32(p.rows)) { continue; }
    for (var j = 0u; j < p.kw; j++) {
      let x = w - i32(j * p.dilW);
      let s = x / i32(p.strideW);
      if (x < 0 || x % i32(p.strideW) != 0 || s >= i32(p.OW)) { continue; }
      sum += columns[(((c * p.kh + i) * p.kw + j) * p.rows + u32(r)) * p.OW + u32(s)];
    }
  }
  image[p.imageOffset + thread] += sum;`,
  },

  fill_channels: {
    parameters: 'bias:[f32] y:[f32]! B:u32 O:u32 P:u32',
    threads: ({ B, O, P }) => B * O * P,
    code: 'y[thread] = bias[thread / p.P % p.O];',
  },

  sum_channels: {
    parameters: 'dy:[f32] dbias:[f32]! B:u32 O:u32 P:u32',
    groups: ({ O }) => O,
    uses: GROUP_SUM,
    code: /* wgsl */ `
  var sum = 0.0;
  for (var i = lane; i < p.B * p.P; i += SIZE) {
    sum += dy[(i / p.P * p.O + group) * p.P + i % p.P];
  }
  let total = group_sum(lane, sum);
  if (lane == 0u) { dbias[group] = total; }`,
  },
}
