// Scaled dot-product attention; formulas, strides and masks: src/ops/attention_reference.ts.
//
// Forward, one workgroup a query: the lanes take a block of keys, one each; the largest score and the
// sums follow along (Milakov and Gimelshein, arXiv 1805.02867), so that scores are never stored. Then
// the lanes share the elements of the result. Backward is three passes in which no two threads write to
// one place: by query (attention_backward.ts), by key, by element of the mask.

import { attention_backward } from './attention_backward.ts'
import { PARTS, sumsOf, writtenSize } from './attention_sums.ts'
import { isAligned, LANES, operands, RESULT, SETTINGS, scores } from './attention_text.ts'
import type { KernelSources } from './machine.ts'
import { LOG } from './math.ts'
import type { Program } from './program.ts'
import { GROUP_MAX, GROUP_SUM } from './reduction.ts'

const programs: Map<string, Program> = new Map()

/** The program for values of `Dv` elements, which decide what a lane keeps of them. */
function forwardProgram(Dv: number, aligned: boolean): Program {
  const mixed = sumsOf(
    { name: 'mixed', operand: 'values', factors: 'weights', size: Dv, length: 'p.Dv' },
    aligned,
  )
  return {
    parameters: `${operands(aligned)} ${RESULT} lse:[f32]! ${SETTINGS}`,
    groups: ({ B, H, Tq }) => B * H * Tq,
    size: LANES,
    uses: [
      ...scores(aligned),
      ...LOG,
      ...GROUP_MAX,
      ...GROUP_SUM,
      'var<workgroup> weights: array<f32, SIZE>;',
      PARTS,
    ],
    code: /* wgsl */ `
  let t = group % p.Tq;
  let h = group / p.Tq % p.H;
  let b = group / p.Tq / p.H;
  let end = end_of_keys(t);
  var largest = -infinity();
  var total = 0.0;
  ${mixed.declared}
  for (var start = first_key(t); start < end; start += SIZE) {
    let j = start + lane;
    var score = -infinity();
    if (j < end) {
      let seen = masked(capped(raw_score(b, h, t, j)), b, h, t, j);
      // A maximum may leave NaN out; infinity stays, and infinity less itself is NaN again.
      score = select(seen, infinity(), is_nan(seen));
    }
    let top = max(largest, group_max(lane, score));
    let hidden = top < -3.4028234663852886e38;
    let weight = select(exponential(score - top), 0.0, hidden || j >= end);
    weights[lane] = weight;
    let sum = group_sum(lane, weight);
    let rescale = select(exponential(largest - top), 0.0, hidden);
    total = total * rescale + sum;
    largest = top;
    ${mixed.multiplied('rescale')}
    let count = min(SIZE, end - start);
    ${mixed.added('count', 'value_at(b, h / p.group, start + i)')}
    workgroupBarrier();
  }
  let none = largest < -3.4028234663852886e38;
  let to = p.yOffset + b * p.yBatch + h * p.yHead + t * p.yRow;
  ${mixed.stored((place, sum) => `result[to + ${place}] = select(${sum} / total, 0.0, none);`)}
  if (lane == 0u) { lse[group] = select(largest + logarithm(total), infinity(), none); }`,
  }
}

/** Places in the parameter list: what follows the operands' strides, and the sizes of a row. */
const [MASKS, D, DV] = [15, 32, 33]

export const attentionKernels: KernelSources = {
  attention: machine => {
    return (...parameters) => {
      const aligned = isAligned(
        parameters.slice(0, MASKS),
        [D, DV].map(at => parameters[at] as number),
      )
      const size = writtenSize(parameters[DV] as number, aligned)
      const key = `${size},${aligned}`
      const program = programs.get(key) ?? forwardProgram(size, aligned)
      programs.set(key, program)
      machine.program(program)(...parameters)
    }
  },

  attention_backward,
}
