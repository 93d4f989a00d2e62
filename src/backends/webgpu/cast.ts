// Half precision and back: two halves share a word, the first one in its low bits. Narrowing rounds to
// nearest, ties to even, what is too large to infinity; it is written in integers, because drivers
// round halves as they like.

import type { KernelSources } from './machine.ts'

/** One element of packed halves; format 1 is float16, 2 bfloat16. */
export const HALVES = /* wgsl */ `
fn widened(word: u32, upper: bool, format: u32) -> f32 {
  let bits = select(word & 0xffffu, word >> 16u, upper);
  if (format == 2u) { return bitcast<f32>(bits << 16u); }
  let sign = (bits & 0x8000u) << 16u;
  let exponent = (bits >> 10u) & 31u;
  let fraction = bits & 0x3ffu;
  if (exponent == 0u) {
    let small = f32(fraction) * 5.9604644775390625e-8;
    return bitcast<f32>(sign | bitcast<u32>(small));
  }
  let wide = select(exponent + 112u, 255u, exponent == 31u);
  return bitcast<f32>(sign | (wide << 23u) | (fraction << 13u));
}`

const NARROW = /* wgsl */ `
fn round_shift(value: u32, shift: u32) -> u32 {
  let kept = value >> shift;
  let rest = value & ((1u << shift) - 1u);
  let half = 1u << (shift - 1u);
  return kept + select(0u, 1u, rest > half || (rest == half && (kept & 1u) == 1u));
}
fn narrowed(bits: u32, format: u32) -> u32 {
  let magnitude = bits & 0x7fffffffu;
  let sign = (bits >> 16u) & 0x8000u;
  if (format == 2u) {
    if (magnitude > 0x7f800000u) { return (bits >> 16u) | 0x40u; }
    return sign | round_shift(magnitude, 16u);
  }
  if (magnitude > 0x7f800000u) { return sign | 0x7e00u | ((magnitude >> 13u) & 0x3ffu); }
  if (magnitude >= 0x477ff000u) { return sign | 0x7c00u; }
  if (magnitude >= 0x38800000u) { return sign | round_shift(magnitude - 0x38000000u, 13u); }
  let exponent = magnitude >> 23u;
  if (exponent < 102u) { return sign; }
  return sign | round_shift((magnitude & 0x7fffffu) | 0x800000u, 126u - exponent);
}`

export const castKernels: KernelSources = {
  widen: {
    parameters: 'x:[u32] format:u32 y:[f32]! n:u32',
    threads: ({ n }) => n,
    uses: [HALVES],
    code: /* wgsl */ `
  if (p.format == 0u) { y[thread] = bitcast<f32>(x[thread]); return; }
  y[thread] = widened(x[thread / 2u], (thread & 1u) == 1u, p.format);`,
  },

  narrow: {
    parameters: 'x:[u32] y:[u32]! format:u32 n:u32',
    threads: ({ n }) => Math.ceil(n / 2),
    uses: [NARROW],
    code: /* wgsl */ `
  let at = 2u * thread;
  var word = narrowed(x[at], p.format);
  if (at + 1u < p.n) { word |= narrowed(x[at + 1u], p.format) << 16u; }
  y[thread] = word;`,
  },
}
