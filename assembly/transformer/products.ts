// The products that attention consists of, and the packing of their right operands: kernels of the core
// binary, called from one instance to the other. Compiled in once more they were a third of this one.

/** See core/matmul.ts. */
@external('core', 'matmul_nt')
export declare function matmul_nt(
  a: usize,
  aOffset: i32,
  aStride: i32,
  b: usize,
  bOffset: i32,
  bStride: i32,
  bFormat: i32,
  c: usize,
  cOffset: i32,
  cStride: i32,
  M: i32,
  N: i32,
  K: i32,
  alpha: f32,
  accumulate: i32,
  scratch: usize,
): void

/** See core/matmul.ts. */
@external('core', 'matmul_tn')
export declare function matmul_tn(
  a: usize,
  aOffset: i32,
  aStride: i32,
  b: usize,
  bOffset: i32,
  bStride: i32,
  bFormat: i32,
  c: usize,
  cOffset: i32,
  cStride: i32,
  M: i32,
  N: i32,
  K: i32,
  alpha: f32,
  accumulate: i32,
  scratch: usize,
): void

/** See core/attention_panels.ts. */
@external('core', 'pack_rows_panels')
export declare function pack_rows_panels(
  x: usize,
  step: usize,
  start: i32,
  end: i32,
  D: i32,
  out: usize,
): void

/** See core/attention_panels.ts. */
@external('core', 'pack_columns_panels')
export declare function pack_columns_panels(
  x: usize,
  step: usize,
  start: i32,
  end: i32,
  T: i32,
  D: i32,
  out: usize,
): void
