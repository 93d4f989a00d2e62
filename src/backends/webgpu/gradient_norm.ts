// The L2 norm of all gradients, the clip factor and the non-finite flag, all left in `control` (see
// src/optim/control.ts). The reference adds up in float64, which cannot overflow; here large and tiny
// elements are added apart, scaled by 2⁻⁷⁰ and 2⁷⁰ (Blue, "A portable Fortran program to find the Euclidean
// norm of a vector", 1978). The sum so far is control[0]·control[1]², control[1] being 2⁻⁷⁰, 1 or 2⁷⁰.
// Other powers than squares are of shares of the largest element.

import type { KernelSources } from './machine.ts'
import { BIT_TESTS, POW } from './math.ts'
import type { Program } from './program.ts'
import { EXACT_SUM, GROUP_MAX, GROUP_SUM } from './reduction.ts'

const SIZE = 256
/** Elements that one workgroup adds up where there are many. */
const SHARE = 16384

const POWERS = /* wgsl */ `
const UP = 1180591620717411303424.0;
const DOWN = 8.470329472543003e-22;`

/** sum·factor², by way of the root: a compiler may multiply factors first, and their square is no float. */
const MOVED = /* wgsl */ `
fn moved(sum: f32, factor: f32) -> f32 {
  let root = sqrt(sum) * factor;
  return root * root;
}`

/** Sums of squares of shares of g, into parts: of tiny, ordinary and large elements. */
const squares: Program = {
  parameters: 'g:[f32] n:u32 parts:[f32]! share:u32',
  groups: ({ n, share }) => Math.ceil(n / share),
  size: SIZE,
  uses: [...GROUP_SUM, ...EXACT_SUM, POWERS],
  code: /* wgsl */ `
  var tiny = 0.0;
  var ordinary = vec2f();
  var large = 0.0;
  let stop = min(p.n, (group + 1u) * p.share);
  for (var i = group * p.share + lane; i < stop; i += SIZE) {
    let value = g[i];
    if (abs(value) < 1e-15) {
      let scaled = value * UP;
      tiny += scaled * scaled;
    } else if (abs(value) < 1e15) {
      ordinary = plus(ordinary, value * value);
    } else {
      let scaled = value * DOWN;
      large += scaled * scaled;
    }
  }
  let sums = vec3f(group_sum(lane, tiny), exact_sum(lane, ordinary), group_sum(lane, large));
  if (lane == 0u) { for (var i = 0u; i < 3u; i++) { parts[3u * group + i] = sums[i]; } }`,
}

/** Adds the parts to what is in control: in the unit of the largest sum there is. */
const addParts: Program = {
  parameters: 'parts:[f32] count:u32 control:[f32]!',
  groups: () => 1,
  size: SIZE,
  uses: [...GROUP_SUM, ...EXACT_SUM, POWERS, MOVED],
  code: /* wgsl */ `
  var tiny = 0.0;
  var ordinary = vec2f();
  var large = 0.0;
  for (var i = lane; i < p.count; i += SIZE) {
    tiny += parts[3u * i];
    ordinary = plus(ordinary, parts[3u * i + 1u]);
    large += parts[3u * i + 2u];
  }
  var sums = vec3f(group_sum(lane, tiny), exact_sum(lane, ordinary), group_sum(lane, large));
  if (lane == 0u) {
    let before = control[0];
    if (control[1] < 1.0) { sums.x += before; }
    else if (control[1] > 1.0) { sums.z += before; }
    else { sums.y += before; }
    // Whatever is no zero counts: also what is no number.
    if (bitcast<u32>(sums.z) != 0u) {
      control[0] = sums.z + moved(sums.y, DOWN);
      control[1] = UP;
    } else if (sums.y < 1e-12) {
      control[0] = sums.x + moved(sums.y, UP);
      control[1] = DOWN;
    } else {
      control[0] = sums.y + moved(sums.x, DOWN);
      control[1] = 1.0;
    }
  }`,
}

/** Writes norm, factor and flag for a norm; the flag stays set if it was. */
const CONCLUDE = /* wgsl */ `
fn conclude(norm: f32, finite: bool) {
  control[2] = norm;
  control[3] = min(1.0, p.maxNorm / (norm + 1e-6));
  if (!finite) { control[4] = 1.0; }
}`

/** The largest finite number stands for infinity, which a uniform need not carry. */
const finite = (maxNorm: number): number => Math.min(maxNorm, 3.4e38)

const end: Program = {
  parameters: 'maxNorm:f32 control:[f32]!',
  threads: () => 1,
  uses: [...BIT_TESTS, CONCLUDE],
  code: 'conclude(control[1] * sqrt(control[0]), is_finite(control[0]));',
}

/** The sum so far is control[0]·control[1]^order, control[1] being the largest element. */
const powers: Program = {
  parameters: 'g:[f32] n:u32 order:f32 largest:u32 control:[f32]!',
  groups: () => 1,
  size: SIZE,
  uses: [...POW, ...GROUP_SUM, ...GROUP_MAX],
  code: /* wgsl */ `
  var top = 0.0;
  var bad = 0.0;
  for (var i = lane; i < p.n; i += SIZE) {
    let size = abs(g[i]);
    if (!is_finite(size)) { bad = 1.0; }
    top = max(top, size);
  }
  let invalid = group_max(lane, bad);
  let most = group_max(lane, top);
  let before = control[0];
  let scale = max(most, select(control[1], 1.1754944e-38, before == 0.0));
  var sum = 0.0;
  if (p.largest == 0u) {
    for (var i = lane; i < p.n; i += SIZE) { sum += power(abs(g[i]) / scale, p.order); }
  }
  let total = group_sum(lane, sum);
  if (lane == 0u) {
    if (p.largest == 1u) {
      control[0] = max(before, most);
    } else {
      let carried = before * power(control[1] / scale, p.order);
      control[0] = total + select(carried, 0.0, before == 0.0);
      control[1] = scale;
    }
    if (invalid > 0.0 || is_nan(before)) { control[0] = not_a_number(); }
  }`,
}

const powersEnd: Program = {
  parameters: 'inverse:f32 largest:u32 maxNorm:f32 control:[f32]!',
  threads: () => 1,
  uses: [...POW, CONCLUDE],
  code: /* wgsl */ `
  let sum = control[0];
  let norm = select(control[1] * power(sum, p.inverse), sum, p.largest == 1u);
  conclude(norm, is_finite(sum));`,
}

const isLargest = (order: number): number => (order === Number.POSITIVE_INFINITY ? 1 : 0)

export const gradientNormKernels: KernelSources = {
  gradient_norm_begin: {
    parameters: 'control:[f32]!',
    threads: () => 1,
    uses: [POWERS],
    code: 'control[0] = 0.0; control[1] = DOWN; control[2] = 0.0; control[3] = 1.0; control[4] = 0.0;',
  },

  gradient_norm_add: machine => (g, n, control) => {
    const parts = Math.ceil((n as number) / SHARE)
    machine.withRoom(3 * parts, room => {
      machine.program(squares)(g, n, room, SHARE)
      machine.program(addParts)(room, parts, control)
    })
  },

  gradient_norm_end: machine => (maxNorm, control) =>
    machine.program(end)(finite(maxNorm as number), control),

  flag_non_finite: {
    parameters: 'x:[f32] n:u32 control:[f32]!',
    threads: ({ n }) => n,
    uses: BIT_TESTS,
    code: 'if (!is_finite(x[thread])) { control[4] = 1.0; }',
  },

  read_norm: {
    parameters: 'control:[f32] y:[f32]!',
    threads: () => 1,
    code: 'y[0] = control[2];',
  },

  clip_gradient: {
    parameters: 'g:[f32]! n:u32 control:[f32]',
    threads: ({ n }) => n,
    code: 'if (control[4] == 0.0) { g[thread] *= control[3]; }',
  },

  power_norm_add: machine => (g, n, order, control) => {
    const largest = isLargest(order as number)
    machine.program(powers)(g, n, largest ? 1 : order, largest, control)
  },

  power_norm_end: machine => (order, maxNorm, control) => {
    const largest = isLargest(order as number)
    const inverse = largest ? 1 : 1 / (order as number)
    machine.program(powersEnd)(inverse, largest, finite(maxNorm as number), control)
  },
}
