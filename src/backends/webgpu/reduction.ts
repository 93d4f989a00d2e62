// Reductions within a workgroup: every lane gives a number, every lane gets the sum or the largest. Eight
// lanes take an eighth of the numbers each, then every lane the eight results: the order is the same every
// time. A binary tree reads less, but waits at a barrier for each of its levels, which costs as much as some
// reads on a GPU and a hundred times as much on a device in software.

const CELLS = /* wgsl */ `
var<workgroup> cells: array<f32, SIZE>;
var<workgroup> eighths: array<f32, 8>;`

/** A call leaves its results where the next one writes only after a barrier. */
function reduction(name: string, combine: string): string {
  return /* wgsl */ `
fn ${name}(lane: u32, value: f32) -> f32 {
  cells[lane] = value;
  workgroupBarrier();
  if (lane < 8u) {
    var a = cells[lane];
    for (var i = lane + 8u; i < SIZE; i += 8u) { let b = cells[i]; a = ${combine}; }
    eighths[lane] = a;
  }
  workgroupBarrier();
  var a = eighths[0];
  for (var i = 1u; i < 8u; i++) { let b = eighths[i]; a = ${combine}; }
  return a;
}`
}

export const GROUP_SUM: readonly string[] = [CELLS, reduction('group_sum', 'a + b')]
export const GROUP_MAX: readonly string[] = [CELLS, reduction('group_max', 'max(a, b)')]

/**
 * Long sums as a number and its rounding errors: `plus` adds exactly but for the last place of the
 * errors, `exact_sum` does so over a group (Knuth, TAOCP 2, 4.2.2: the error of a sum is a float).
 */
export const EXACT_SUM: readonly string[] = [
  /* wgsl */ `
var<workgroup> pairs: array<vec2f, SIZE>;
var<workgroup> eighth_pairs: array<vec2f, 8>;
fn plus(sum: vec2f, x: f32) -> vec2f {
  let s = sum.x + x;
  let b = s - sum.x;
  return vec2f(s, sum.y + ((sum.x - (s - b)) + (x - b)));
}
fn both(a: vec2f, b: vec2f) -> vec2f { return plus(a, b.x) + vec2f(0.0, b.y); }
fn total_of(sum: vec2f) -> f32 {
  // The error of an infinite sum is no number.
  let infinite = (bitcast<u32>(sum.y) & 0x7f800000u) == 0x7f800000u;
  return select(sum.x + sum.y, sum.x, infinite);
}
fn exact_sum(lane: u32, value: vec2f) -> f32 {
  pairs[lane] = value;
  workgroupBarrier();
  if (lane < 8u) {
    var sum = pairs[lane];
    for (var i = lane + 8u; i < SIZE; i += 8u) { sum = both(sum, pairs[i]); }
    eighth_pairs[lane] = sum;
  }
  workgroupBarrier();
  var sum = eighth_pairs[0];
  for (var i = 1u; i < 8u; i++) { sum = both(sum, eighth_pairs[i]); }
  return total_of(sum);
}`,
]

/**
 * A power of two near a number that is not negative, from 2⁻¹²⁶ to 2¹²⁶, and one divided by it: what is
 * scaled by it is as exact as before, and its squares neither overflow nor vanish.
 */
export const SCALE: string = /* wgsl */ `
fn scale_of(x: f32) -> f32 {
  return bitcast<f32>(clamp(bitcast<u32>(x) >> 23u, 1u, 253u) << 23u);
}
fn inverse_of(scale: f32) -> f32 { return bitcast<f32>(0x7f000000u - bitcast<u32>(scale)); }`

/** A loop in which the lanes of a group share the columns `c` of one row, `at` being its elements. */
export function eachColumn(body: string, cols = 'p.cols'): string {
  return /* wgsl */ `for (var c = lane; c < ${cols}; c += SIZE) { let at = group * ${cols} + c; ${body} }`
}

/** `most`, the largest magnitude of a row. */
export const ROW_MOST: string = /* wgsl */ `
  var own = 0.0;
  ${eachColumn('own = max(own, abs(x[at]));')}
  let most = group_max(lane, own);`
