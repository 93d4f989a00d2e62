// GELU, exact and by tanh; formulas and constants: src/ops/gelu.ts.

import type { KernelSources } from './machine.ts'
import { ERROR_FUNCTION, TANGENT } from './math.ts'
import { unary } from './unary.ts'

const EXACT: readonly string[] = [
  ...ERROR_FUNCTION,
  /* wgsl */ `
fn distribution(x: f32) -> f32 { return 0.5 * (1.0 + error_function(x * 0.70710678)); }
fn density(x: f32) -> f32 { return 0.39894228 * exponential(-0.5 * x * x); }`,
]

const BY_TANH: readonly string[] = [
  ...TANGENT,
  /* wgsl */ `
fn inner_tanh(x: f32) -> f32 {
  return hyperbolic_tangent(0.79788456 * x * (1.0 + 0.044715 * x * x));
}
fn tanh_slope(x: f32) -> f32 {
  let t = inner_tanh(x);
  let inner = 0.79788456 * (1.0 + 3.0 * 0.044715 * x * x);
  return 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * inner;
}`,
]

export const geluKernels: KernelSources = /* @__PURE__ */ {
  ...unary('gelu', 'v * distribution(v)', 'distribution(v) + v * density(v)', EXACT),
  ...unary('gelu_tanh', '0.5 * v * (1.0 + inner_tanh(v))', 'tanh_slope(v)', BY_TANH),
}
