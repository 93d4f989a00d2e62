// What the passes of attention share: the parameters in the order of the reference loops, and functions
// for the keys a query sees, scores, and their gradients.

import { EXP, TANGENT } from './math.ts'

const operand = (name: string, prefix: string, element: string): string =>
  `${name}:[${element} ${prefix}Offset:u32 ${prefix}Batch:u32 ${prefix}Head:u32 ${prefix}Row:u32`

const elementOf = (aligned: boolean): string => (aligned ? 'vec4f]' : 'f32]')

export const operands = (aligned: boolean): string =>
  [
    operand('queries', 'q', elementOf(aligned)),
    operand('keys', 'k', elementOf(aligned)),
    operand('values', 'v', elementOf(aligned)),
    'masks:[u32] maskKind:u32 maskBatch:u32 maskHead:u32 maskRow:u32 maskColumn:u32',
  ].join(' ')

export const upstream = (aligned: boolean): string => operand('upstream', 'dy', elementOf(aligned))
export const RESULT: string = operand('result', 'y', 'f32]!')

export const SETTINGS: string =
  'B:u32 H:u32 group:u32 Tq:u32 Tk:u32 D:u32 Dv:u32 scale:f32 softcap:f32 causal:u32 window:u32 ' +
  'queryOffset:u32 scratch:-'

/** Lanes of a workgroup, and keys or queries that it takes at a time. */
export const LANES = 64

const NAMES = ['queries', 'keys', 'values', 'upstream'] as const
type Name = (typeof NAMES)[number]

/** A function that reads one element, `one_of_keys(i)`. */
function reads(name: Name, aligned: boolean): string {
  const element = aligned ? `${name}[i / 4u][i & 3u]` : `${name}[i]`
  return `fn one_of_${name}(i: u32) -> f32 { return ${element}; }`
}

/** Σ a·b of `count` elements from `left` and `right` on, four at a time where rows begin at fours. */
function product(name: string, a: Name, b: Name, count: string, aligned: boolean): string {
  const [step, term] = aligned
    ? ['i += 4u', `dot(${a}[(left + i) / 4u], ${b}[(right + i) / 4u])`]
    : ['i++', `${a}[left + i] * ${b}[right + i]`]
  return /* wgsl */ `
fn ${name}(left: u32, right: u32) -> f32 {
  var sum = 0.0;
  for (var i = 0u; i < ${count}; ${step}) { sum += ${term}; }
  return sum;
}`
}

/** Where rows begin, which keys are seen, and the score of one. */
export const scores = (aligned: boolean): readonly string[] => [
  ...EXP,
  ...TANGENT,
  ...(['queries', 'keys', 'values'] as const).map(name => reads(name, aligned)),
  product('query_by_key', 'queries', 'keys', 'p.D', aligned),
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
  return p.scale * query_by_key(query_at(b, h, t), key_at(b, h / p.group, j));
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
export const gradients = (aligned: boolean): readonly string[] => [
  ...scores(aligned),
  reads('upstream', aligned),
  product('upstream_by_value', 'upstream', 'values', 'p.Dv', aligned),
  /* wgsl */ `
struct Pair { weight: f32, dp: f32, slope: f32 }
fn upstream_at(b: u32, h: u32, t: u32) -> u32 {
  return p.dyOffset + b * p.dyBatch + h * p.dyHead + t * p.dyRow;
}
fn pair_of(b: u32, h: u32, t: u32, j: u32, lse: f32) -> Pair {
  let score = raw_score(b, h, t, j);
  let bent = select(0.0, capped(score) / p.softcap, p.softcap != 0.0);
  let dp = upstream_by_value(upstream_at(b, h, t), value_at(b, h / p.group, j));
  return Pair(exponential(masked(capped(score), b, h, t, j) - lse), dp, 1.0 - bent * bent);
}`,
]

/** Whether all that four elements are read of lies at fours: operands, perhaps dy, and their sizes. */
export function isAligned(numbers: readonly unknown[], [D, Dv]: readonly number[]): boolean {
  return [...numbers, D, Dv].every(value => typeof value !== 'number' || value % 4 === 0)
}

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i)

/** Text for each of the elements of a row of `size` that one lane keeps: lane, lane + 64, … */
export function eachElement(size: number, text: (e: number, place: string) => string): string {
  return range(Math.ceil(size / LANES))
    .map(e => text(e, `(lane + ${e * LANES}u)`))
    .join('\n  ')
}
