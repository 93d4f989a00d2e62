// What the functions of this folder share. Constants are read from memory: V8 rebuilds a v128
// constant in each iteration of a loop (several instructions: 4.3 instead of 2.4 ns for the bare
// polynomial of exp), whereas a broadcasting load is one.

/** 1.5 · 2²³: adding it to |x| < 2²² rounds x to an integer, found in the low bits of the sum. */
export const ROUND: f32 = 12582912

/** The constant `offset` bytes into a table, in all lanes. */
@inline
export function constant(table: usize, offset: usize): v128 {
  return v128.load32_splat(table + offset)
}

/** The sign bits of x. */
@inline
export function sign_bits(x: v128): v128 {
  return v128.and(x, i32x4.splat(0x80000000))
}
