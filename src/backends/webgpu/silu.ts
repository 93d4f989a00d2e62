// y = x σ(x); dx = dy σ(x) (1 + x (1 − σ(x))).

import type { KernelSources } from './machine.ts'
import { LOGISTIC } from './math.ts'
import { unary } from './unary.ts'

export const SILU: readonly string[] = [
  ...LOGISTIC,
  /* wgsl */ `
fn silu(x: f32) -> f32 { return x * sigmoid(x); }
fn silu_slope(x: f32) -> f32 { let s = sigmoid(x); return s * (1.0 + x * (1.0 - s)); }`,
]

export const siluKernels: KernelSources = /* @__PURE__ */ unary(
  'silu',
  'silu(v)',
  'silu_slope(v)',
  SILU,
)
