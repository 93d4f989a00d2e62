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

/** A loop in which the lanes of a group share the columns `c` of one row, `at` being its elements. */
export function eachColumn(body: string, cols = 'p.cols'): string {
  return /* wgsl */ `for (var c = lane; c < ${cols}; c += SIZE) { let at = group * ${cols} + c; ${body} }`
}
