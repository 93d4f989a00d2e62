// The passes of attention's gradient. Each computes scores and weights again; the first leaves for every
// query its lse and Σ p·dp / Σ p in `statistics` for the others.

import { PARTS, type Summed, sumsOf, writtenSize } from './attention_sums.ts'
import { gradients, isAligned, LANES, operands, SETTINGS, upstream } from './attention_text.ts'
import type { KernelSource } from './machine.ts'
import type { Block } from './pool.ts'
import type { Argument, Program } from './program.ts'
import { GROUP_SUM } from './reduction.ts'

const BLOCKS: readonly string[] = [
  'var<workgroup> weights: array<f32, SIZE>;',
  'var<workgroup> slopes: array<f32, SIZE>;',
  PARTS,
]

const inputs = (aligned: boolean): string => `${upstream(aligned)} ${operands(aligned)}`

/** dq, one workgroup a query, the lanes sharing blocks of keys and then the elements of dq. */
function queriesProgram(D: number, aligned: boolean): Program {
  const sum = sumsOf(
    { name: 'gradient', operand: 'keys', factors: 'slopes', size: D, length: 'p.D' },
    aligned,
  )
  return {
    parameters: `${inputs(aligned)} lse:[f32] dq:[f32]! needsQ:u32 statistics:[f32]! ${SETTINGS}`,
    groups: ({ B, H, Tq }) => B * H * Tq,
    size: LANES,
    uses: [...gradients(aligned), ...GROUP_SUM, ...BLOCKS],
    code: /* wgsl */ `
  let t = group % p.Tq;
  let h = group / p.Tq % p.H;
  let b = group / p.Tq / p.H;
  let first = first_key(t);
  let end = end_of_keys(t);
  let level = lse[group];
  var own = Pair(0.0, 0.0, 0.0);
  if (first + lane < end) { own = pair_of(b, h, t, first + lane, level); }
  var along = own.weight * own.dp;
  var sum = own.weight;
  for (var j = first + lane + SIZE; j < end; j += SIZE) {
    let pair = pair_of(b, h, t, j, level);
    along += pair.weight * pair.dp;
    sum += pair.weight;
  }
  let whole = group_sum(lane, sum);
  let mean = group_sum(lane, along) / whole;
  let shift = select(mean, 0.0, whole == 0.0);
  if (lane == 0u) {
    statistics[2u * group] = level;
    statistics[2u * group + 1u] = shift;
  }
  if (p.needsQ == 0u) { return; }
  ${sum.declared}
  for (var start = first; start < end; start += SIZE) {
    let j = start + lane;
    var slope = 0.0;
    if (j < end) {
      var pair = own;
      if (start > first) { pair = pair_of(b, h, t, j, level); }
      slope = p.scale * pair.weight * (pair.dp - shift) * pair.slope;
    }
    slopes[lane] = slope;
    workgroupBarrier();
    let count = min(SIZE, end - start);
    ${sum.added('count', 'key_at(b, h / p.group, start + i)')}
    workgroupBarrier();
  }
  let to = query_at(b, h, t);
  ${sum.stored((place, value) => `dq[to + ${place}] = ${value};`)}`,
  }
}

/** dk and dv, one workgroup a key: the lanes share blocks of the queries that may see it. */
function keysProgram(D: number, Dv: number, aligned: boolean): Program {
  const summed: readonly Summed[] = [
    { name: 'key_sum', operand: 'queries', factors: 'slopes', size: D, length: 'p.D' },
    { name: 'value_sum', operand: 'upstream', factors: 'weights', size: Dv, length: 'p.Dv' },
  ]
  const [dk, dv] = summed.map(one => sumsOf(one, aligned))
  return {
    parameters: `${inputs(aligned)} statistics:[f32] dk:[f32]! needsK:u32 dv:[f32]! needsV:u32 ${SETTINGS}`,
    groups: ({ B, H, group, Tk }) => B * (H / group) * Tk,
    size: LANES,
    uses: [...gradients(aligned), ...BLOCKS],
    code: /* wgsl */ `
  let j = group % p.Tk;
  let shared_head = group / p.Tk % (p.H / p.group);
  let b = group / p.Tk / (p.H / p.group);
  ${dk.declared}
  ${dv.declared}
  let begin = select(0u, j - min(j, p.queryOffset), p.causal == 1u);
  for (var h = shared_head * p.group; h < (shared_head + 1u) * p.group; h++) {
    for (var start = begin; start < p.Tq; start += SIZE) {
      let t = start + lane;
      var weight = 0.0;
      var slope = 0.0;
      if (t < p.Tq && j >= first_key(t) && j < end_of_keys(t)) {
        let row = (b * p.H + h) * p.Tq + t;
        let pair = pair_of(b, h, t, j, statistics[2u * row]);
        weight = pair.weight;
        slope = p.scale * weight * (pair.dp - statistics[2u * row + 1u]) * pair.slope;
      }
      weights[lane] = weight;
      slopes[lane] = slope;
      workgroupBarrier();
      let count = min(SIZE, p.Tq - start);
      if (p.needsK == 1u) { ${dk.added('count', 'query_at(b, h, start + i)')} }
      if (p.needsV == 1u) { ${dv.added('count', 'upstream_at(b, h, start + i)')} }
      workgroupBarrier();
    }
  }
  if (p.needsK == 1u) {
    let to = key_at(b, shared_head, j);
    ${dk.stored((place, value) => `dk[to + ${place}] += ${value};`)}
  }
  if (p.needsV == 1u) {
    let to = value_at(b, shared_head, j);
    ${dv.stored((place, value) => `dv[to + ${place}] += ${value};`)}
  }`,
  }
}

/** dmask, one thread an element, which adds up everything that the element was used for. */
const maskProgram: Program = {
  parameters: `${inputs(false)} statistics:[f32] dmask:[f32]! ${SETTINGS}`,
  threads: ({ B, H, Tq, Tk, maskBatch, maskHead, maskRow, maskColumn }) =>
    (maskBatch ? B : 1) * (maskHead ? H : 1) * (maskRow ? Tq : 1) * (maskColumn ? Tk : 1),
  uses: gradients(false),
  code: /* wgsl */ `
  let bs = select(1u, p.B, p.maskBatch > 0u);
  let hs = select(1u, p.H, p.maskHead > 0u);
  let ts = select(1u, p.Tq, p.maskRow > 0u);
  let js = select(1u, p.Tk, p.maskColumn > 0u);
  let j0 = thread % js;
  let t0 = thread / js % ts;
  let h0 = thread / js / ts % hs;
  let b0 = thread / js / ts / hs;
  var sum = 0.0;
  for (var b = b0; b < p.B; b += bs) {
    for (var h = h0; h < p.H; h += hs) {
      for (var t = t0; t < p.Tq; t += ts) {
        let row = (b * p.H + h) * p.Tq + t;
        for (var j = j0; j < p.Tk; j += js) {
          if (j >= first_key(t) && j < end_of_keys(t)) {
            let pair = pair_of(b, h, t, j, statistics[2u * row]);
            sum += pair.weight * (pair.dp - statistics[2u * row + 1u]);
          }
        }
      }
    }
  }
  dmask[mask_at(b0, h0, t0, j0)] += sum;`,
}

const programs: Map<string, readonly [Program, Program]> = new Map()

function programsFor(
  sizes: readonly number[],
  aligned: boolean,
): readonly [queries: Program, keys: Program] {
  const [D, Dv] = sizes.map(size => writtenSize(size, aligned))
  const key = [D, Dv, aligned].join()
  const made = programs.get(key) ?? [queriesProgram(D, aligned), keysProgram(D, Dv, aligned)]
  programs.set(key, made)
  return made
}

/** Places in the parameter list: where dy's and the operands' strides end, the operands end, the gradients. */
const [MASKS, LSE, DQ, DK, DV_, DMASK, NEEDS_MASK, SIZES] = [20, 26, 27, 29, 31, 33, 34, 35]

/** Whether a gradient is written over an operand: one binding, which has one type of element. */
function overwrites(parameters: readonly Argument[]): boolean {
  const needed = [DQ, DK, DV_].filter(at => parameters[at + 1] === 1)
  const written = new Set(needed.map(at => (parameters[at] as Block).id))
  return [0, 5, 10, 15].some(at => written.has((parameters[at] as Block).id))
}

export const attention_backward: KernelSource = machine => {
  return (...parameters) => {
    const inputs = parameters.slice(0, LSE)
    const settings = parameters.slice(SIZES)
    const [B, H, , Tq, , D, Dv] = settings as number[]
    const aligned = isAligned(parameters.slice(0, MASKS), [D, Dv]) && !overwrites(parameters)
    const [queries, keys] = programsFor([D, Dv], aligned)
    machine.withRoom(2 * B * H * Tq, statistics => {
      const lse = parameters[LSE]
      // What is not needed is not written, but bound.
      const at = (place: number): Argument[] =>
        parameters[place + 1] === 1 ? [parameters[place], 1] : [statistics, 0]
      machine.program(queries)(...inputs, lse, ...at(DQ), statistics, ...settings)
      if (parameters[DK + 1] === 1 || parameters[DV_ + 1] === 1) {
        machine.program(keys)(...inputs, statistics, ...at(DK), ...at(DV_), ...settings)
      }
      if (parameters[NEEDS_MASK] === 1) {
        const dmask = parameters[DMASK]
        machine.program(maskProgram)(...inputs, statistics, dmask, ...settings)
      }
    })
  }
}
