// What the passes of attention share: the parameters in the order of the reference loops, and functions
// for the keys a query sees, scores, and their gradients.

import { EXP, TANGENT } from './math.ts'

const operand = (name: string, prefix: string, written = ''): string =>
  `${name}:[f32]${written} ${prefix}Offset:u32 ${prefix}Batch:u32 ${prefix}Head:u32 ${prefix}Row:u32`

export const OPERANDS: string = [
  operand('queries', 'q'),
  operand('keys', 'k'),
  operand('values', 'v'),
  'masks:[u32] maskKind:u32 maskBatch:u32 maskHead:u32 maskRow:u32 maskColumn:u32',
].join(' ')

export const UPSTREAM: string = operand('upstream', 'dy')
export const RESULT: string = operand('result', 'y', '!')

export const SETTINGS: string =
  'B:u32 H:u32 group:u32 Tq:u32 Tk:u32 D:u32 Dv:u32 scale:f32 softcap:f32 causal:u32 window:u32 ' +
  'queryOffset:u32 scratch:-'

/** Lanes of a workgroup, and keys or queries that it takes at a time. */
export const LANES = 64

/** Where rows begin, which keys are seen, and the score of one. */
export const SCORES: readonly string[] = [
  ...EXP,
  ...TANGENT,
  /* wgsl */ `
fn query_at(b: u32, h: u32, t: u32) -> u32 {
  return p.qOffset + b * p.qBatch + h * p.qHead + t * p.qRow;
}
fn key_at(b: u32, h: u32, j: u32) -> u32 {
  return p.kOffset + b * p.kBatch + h * p.kHead + j * p.kRow;
}
fn value_at(b: u32, h: u32, j: u32) -> u32 {
  return p.vOffset + b * p.vBatch + h * p.vHead + j * p.vRow;
}
fn mask_at(b: u32, h: u32, t: u32, j: u32) -> u32 {
  return b * p.maskBatch + h * p.maskHead + t * p.maskRow + j * p.maskColumn;
}
fn first_key(t: u32) -> u32 {
  let next = p.queryOffset + t + 1u;
  return select(0u, next - min(next, p.window), p.window > 0u);
}
fn end_of_keys(t: u32) -> u32 {
  return select(p.Tk, min(p.Tk, p.queryOffset + t + 1u), p.causal == 1u);
}
fn raw_score(b: u32, h: u32, t: u32, j: u32) -> f32 {
  let left = query_at(b, h, t);
  let right = key_at(b, h / p.group, j);
  var sum = 0.0;
  for (var i = 0u; i < p.D; i++) { sum += queries[left + i] * keys[right + i]; }
  return p.scale * sum;
}
fn capped(score: f32) -> f32 {
  if (p.softcap == 0.0) { return score; }
  return p.softcap * hyperbolic_tangent(score / p.softcap);
}
fn masked(score: f32, b: u32, h: u32, t: u32, j: u32) -> f32 {
  if (p.maskKind == 0u) { return score; }
  let element = masks[mask_at(b, h, t, j)];
  if (p.maskKind == 1u) { return score + bitcast<f32>(element); }
  return select(score, -infinity(), bitcast<u32>(element) == 0u);
}`,
]

/** The weight of a key and what it is worth to the loss: p, p·(dp − shift) and its slope. */
export const GRADIENTS: readonly string[] = [
  ...SCORES,
  /* wgsl */ `
struct Pair { weight: f32, dp: f32, slope: f32 }
fn upstream_at(b: u32, h: u32, t: u32) -> u32 {
  return p.dyOffset + b * p.dyBatch + h * p.dyHead + t * p.dyRow;
}
fn pair_of(b: u32, h: u32, t: u32, j: u32, lse: f32) -> Pair {
  let score = raw_score(b, h, t, j);
  let bent = select(0.0, capped(score) / p.softcap, p.softcap != 0.0);
  let left = upstream_at(b, h, t);
  let right = value_at(b, h / p.group, j);
  var dp = 0.0;
  for (var i = 0u; i < p.Dv; i++) { dp += upstream[left + i] * values[right + i]; }
  return Pair(exponential(masked(capped(score), b, h, t, j) - lse), dp, 1.0 - bent * bent);
}`,
]

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i)

/** Text for each of the elements of a row of `size` that one lane keeps: lane, lane + 64, … */
export function eachElement(size: number, text: (e: number, place: string) => string): string {
  return range(Math.ceil(size / LANES))
    .map(e => text(e, `(lane + ${e * LANES}u)`))
    .join('\n  ')
}
