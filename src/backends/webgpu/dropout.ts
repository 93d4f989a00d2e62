// Dropout by Philox4x32-10 (src/core/rng.ts): the same masks as everywhere. One thread draws the four
// words of a block.

import type { KernelSources } from './machine.ts'

const PHILOX = /* wgsl */ `
fn high_product(a: u32, b: u32) -> u32 {
  let middle = (a >> 16u) * (b & 0xffffu) + (((a & 0xffffu) * (b & 0xffffu)) >> 16u);
  let carry = (middle & 0xffffu) + (a & 0xffffu) * (b >> 16u);
  return (a >> 16u) * (b >> 16u) + (middle >> 16u) + (carry >> 16u);
}
fn philox(counter: vec4u, key: vec2u) -> vec4u {
  var c = counter;
  var k = key;
  for (var round_ = 0; round_ < 10; round_++) {
    let high0 = high_product(0xd2511f53u, c.x);
    let high1 = high_product(0xcd9e8d57u, c.z);
    c = vec4u(high1 ^ c.y ^ k.x, 0xcd9e8d57u * c.z, high0 ^ c.w ^ k.y, 0xd2511f53u * c.x);
    k += vec2u(0x9e3779b9u, 0xbb67ae85u);
  }
  return c;
}`

export const dropoutKernels: KernelSources = {
  dropout: {
    parameters:
      'x:[f32] y:[f32]! seedLow:u32 seedHigh:u32 stream:u32 threshold:u32 scale:f32 n:u32',
    threads: ({ n }) => Math.ceil(n / 4),
    uses: [PHILOX],
    code: /* wgsl */ `
  let words = philox(vec4u(thread, 0u, p.stream, 0u), vec2u(p.seedLow, p.seedHigh));
  for (var i = 0u; i < 4u; i++) {
    let at = 4u * thread + i;
    if (at < p.n) { y[at] = select(0.0, x[at] * p.scale, words[i] >= p.threshold); }
  }`,
  },
}
