// Adafactor: formulas in src/optim/adafactor_kernels.ts. Row means, and sums over a whole parameter, are
// one workgroup's work.

import type { KernelSources } from './machine.ts'
import { POW } from './math.ts'
import type { Argument, Program } from './program.ts'
import { eachColumn, GROUP_SUM } from './reduction.ts'

const SIZE = 256
const REFUSED = 'if (control[4] != 0.0) { return; }'

/** u of element `at` of a parameter [batch, rows, cols], for the mean row factor of its matrix. */
const UPDATE = /* wgsl */ `
fn update_at(at: u32, mean: f32, factor: f32) -> f32 {
  let row_at = at / p.cols;
  let share = select(1.0, row[row_at] / mean, p.factored == 1u);
  let variance = share * col[row_at / p.rows * p.cols + at % p.cols];
  return factor * g[at] / sqrt(max(variance, p.floor * p.floor));
}`

/** means [batch]: max(mean of the row factors of a matrix, floor). */
const means: Program = {
  parameters: 'row:[f32] means:[f32]! factored:u32 batch:u32 rows:u32 floor:f32',
  groups: ({ batch }) => batch,
  size: SIZE,
  uses: GROUP_SUM,
  code: /* wgsl */ `
  var sum = 0.0;
  if (p.factored == 1u) {
    for (var i = lane; i < p.rows; i += SIZE) { sum += row[group * p.rows + i]; }
  }
  let total = group_sum(lane, sum);
  if (lane == 0u) { means[group] = select(1.0, max(total / f32(p.rows), p.floor), p.factored == 1u); }`,
}

const scale: Program = {
  parameters:
    'weight:[f32] g:[f32] row:[f32] col:[f32] means:[f32] factored:u32 batch:u32 rows:u32 cols:u32 ' +
    'clocks:[f32]! index:u32 control:[f32] lr:f32 relative:u32 scaled:u32 epsilon:f32 floor:f32 ' +
    'threshold:f32',
  groups: ({ batch, rows, cols }) => (batch * rows * cols === 0 ? 0 : 1),
  size: SIZE,
  uses: [...GROUP_SUM, UPDATE],
  code: /* wgsl */ `
  let n = p.batch * p.rows * p.cols;
  var squares = 0.0;
  var updates = 0.0;
  for (var at = lane; at < n; at += SIZE) {
    squares += weight[at] * weight[at];
    let u = update_at(at, means[at / p.cols / p.rows], control[3]);
    updates += u * u;
  }
  let whole = group_sum(lane, squares);
  let moved = group_sum(lane, updates);
  if (lane == 0u && control[4] == 0.0) {
    let t = clocks[4u * p.index];
    var rate = p.lr;
    if (p.relative == 1u) { rate = min(p.lr, 1.0 / sqrt(t)); }
    if (p.relative == 2u) { rate = min(p.lr * t, 1.0 / sqrt(t)); }
    let alpha = select(1.0, max(p.epsilon, sqrt(whole / f32(n))), p.scaled == 1u) * rate;
    clocks[4u * p.index + 2u] = alpha;
    clocks[4u * p.index + 3u] = alpha / max(1.0, sqrt(moved / f32(n)) / p.threshold);
  }`,
}

const apply: Program = {
  parameters:
    'weight:[f32]! g:[f32] row:[f32] col:[f32] average:[f32]! means:[f32] factored:u32 batch:u32 ' +
    'rows:u32 cols:u32 state:[f32] averaged:u32 beta1:f32 rest1:f32 decay:f32 relativeDecay:f32 ' +
    'floor:f32 maximize:u32',
  threads: ({ batch, rows, cols }) => batch * rows * cols,
  uses: [UPDATE],
  code: /* wgsl */ `
  if (state[3] != 0.0) { return; }
  let factor = select(state[2], -state[2], p.maximize == 1u);
  var change = state[1] * update_at(thread, means[thread / p.cols / p.rows], factor);
  if (p.averaged == 1u) {
    change = p.beta1 * average[thread] + p.rest1 * change;
    average[thread] = change;
  }
  let kept = 1.0 - (p.decay + p.relativeDecay * state[0]);
  weight[thread] = kept * weight[thread] - change;`,
}

/** What `apply` needs of clocks and control, in one buffer: a kernel may bind eight. */
const gatherState: Program = {
  parameters: 'clocks:[f32] index:u32 control:[f32] state:[f32]!',
  threads: () => 1,
  code: /* wgsl */ `
  state[0] = clocks[4u * p.index + 2u];
  state[1] = clocks[4u * p.index + 3u];
  state[2] = control[3];
  state[3] = control[4];`,
}

export const adafactorKernels: KernelSources = {
  adafactor_advance: {
    parameters: 'clocks:[f32]! first:u32 count:u32 control:[f32] decay:f32',
    threads: ({ count }) => count,
    uses: POW,
    code: /* wgsl */ `${REFUSED}
  let at = 4u * (p.first + thread);
  clocks[at] += 1.0;
  clocks[at + 1u] = power(clocks[at], p.decay);`,
  },

  adafactor_rows: {
    parameters:
      'g:[f32] row:[f32]! count:u32 cols:u32 clocks:[f32] index:u32 control:[f32] epsilon:f32',
    groups: ({ count }) => count,
    uses: GROUP_SUM,
    code: /* wgsl */ `
  var part = 0.0;
  ${eachColumn('let gradient = control[3] * g[at]; part += gradient * gradient;')}
  let sum = group_sum(lane, part);
  if (lane == 0u && control[4] == 0.0) {
    let weight = clocks[4u * p.index + 1u];
    row[group] = (1.0 - weight) * row[group] + weight * (sum / f32(max(1u, p.cols)) + p.epsilon);
  }`,
  },

  adafactor_columns: {
    parameters:
      'g:[f32] col:[f32]! batch:u32 rows:u32 cols:u32 clocks:[f32] index:u32 control:[f32] ' +
      'epsilon:f32 scratch:-',
    threads: ({ batch, cols }) => batch * cols,
    code: /* wgsl */ `${REFUSED}
  let start = thread / p.cols * p.rows * p.cols + thread % p.cols;
  var sum = 0.0;
  for (var i = 0u; i < p.rows; i++) {
    let gradient = control[3] * g[start + i * p.cols];
    sum += gradient * gradient;
  }
  let weight = clocks[4u * p.index + 1u];
  col[thread] = (1.0 - weight) * col[thread] + weight * (sum / f32(max(1u, p.rows)) + p.epsilon);`,
  },

  adafactor_scale:
    machine =>
    (p, g, row, col, factored, batch, rows, cols, ...rest) => {
      const floor = rest[7]
      machine.withRoom(batch as number, room => {
        machine.program(means)(row, room, factored, batch, rows, floor)
        machine.program(scale)(p, g, row, col, room, factored, batch, rows, cols, ...rest)
      })
    },

  adafactor_apply: machine => {
    return (p, g, row, col, m, factored, batch, rows, cols, clocks, index, control, ...rest) => {
      const [averaged, beta1, decay, relativeDecay, floor, maximize] = rest as number[]
      const sizes: Argument[] = [factored, batch, rows, cols]
      machine.withRoom(batch as number, room =>
        machine.withRoom(4, state => {
          machine.program(means)(row, room, factored, batch, rows, floor)
          machine.program(gatherState)(clocks, index, control, state)
          const rates = [averaged, beta1, 1 - beta1, decay, relativeDecay, floor, maximize]
          machine.program(apply)(p, g, row, col, m, room, ...sizes, state, ...rates)
        }),
      )
    }
  },
}
