// Kernels of one operand, element by element: y = f(x), dx = dy·f'(kept), kept being x or y.

import type { KernelSources } from './machine.ts'
import type { Program } from './program.ts'

/** y[n] = the expression in x. */
export function map(formula: string, uses: readonly string[] = []): Program {
  return {
    parameters: 'x:[f32] y:[f32]! n:u32',
    threads: ({ n }) => n,
    uses,
    code: `let v = x[thread]; y[thread] = ${formula};`,
  }
}

/** Kernels `name` and `name_backward` from expressions in v: f(x), and f' of what is kept. */
export function unary(
  name: string,
  formula: string,
  slope: string,
  uses: readonly string[] = [],
): KernelSources {
  return {
    [name]: map(formula, uses),
    [`${name}_backward`]: {
      parameters: 'kept:[f32] dy:[f32] dx:[f32]! n:u32',
      threads: ({ n }) => n,
      uses,
      code: `let v = kept[thread]; dx[thread] = dy[thread] * (${slope});`,
    },
  }
}
