// Reductions within a workgroup: every lane gives a number, every lane gets the sum or the largest. The
// order is that of a binary tree, the same every time.

const CELLS = /* wgsl */ `
var<workgroup> cells: array<f32, SIZE>;`

function tree(name: string, combine: string): string {
  return /* wgsl */ `
fn ${name}(lane: u32, value: f32) -> f32 {
  cells[lane] = value;
  workgroupBarrier();
  for (var step = SIZE / 2u; step > 0u; step >>= 1u) {
    if (lane < step) {
      let a = cells[lane];
      let b = cells[lane + step];
      cells[lane] = ${combine};
    }
    workgroupBarrier();
  }
  return workgroupUniformLoad(&cells[0]);
}`
}

export const GROUP_SUM: readonly string[] = [CELLS, tree('group_sum', 'a + b')]
export const GROUP_MAX: readonly string[] = [CELLS, tree('group_max', 'max(a, b)')]

/**
 * Long sums as a number and its rounding errors: `plus` adds exactly but for the last place of the
 * errors, `exact_sum` does so over a group (Knuth, TAOCP 2, 4.2.2: the error of a sum is a float).
 */
export const EXACT_SUM: readonly string[] = [
  /* wgsl */ `
var<workgroup> pairs: array<vec2f, SIZE>;
fn plus(sum: vec2f, x: f32) -> vec2f {
  let s = sum.x + x;
  let b = s - sum.x;
  return vec2f(s, sum.y + ((sum.x - (s - b)) + (x - b)));
}
fn total_of(sum: vec2f) -> f32 { return sum.x + sum.y; }
fn exact_sum(lane: u32, value: vec2f) -> f32 {
  pairs[lane] = value;
  workgroupBarrier();
  for (var step = SIZE / 2u; step > 0u; step >>= 1u) {
    if (lane < step) {
      let other = pairs[lane + step];
      pairs[lane] = plus(pairs[lane], other.x) + vec2f(0.0, other.y);
    }
    workgroupBarrier();
  }
  return total_of(workgroupUniformLoad(&pairs[0]));
}`,
]

/** A loop in which the lanes of a group share the columns `c` of one row, `at` being its elements. */
export function eachColumn(body: string, cols = 'p.cols'): string {
  return /* wgsl */ `for (var c = lane; c < ${cols}; c += SIZE) { let at = group * ${cols} + c; ${body} }`
}
