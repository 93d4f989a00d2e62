// What rounding lost, exactly: each function takes operands and their rounded result and returns
// the difference, so that result + error stands for twice the digits.
// Sources: Knuth, "The art of computer programming" 2, section 4.2.2 (sum); Dekker, "A
// floating-point technique for extending the available precision" (1971) (product, quotient).

/** a + b - sum for sum = fl(a + b). */
export function sumError(a: number, b: number, sum: number): number {
  const b1 = sum - a
  return a - (sum - b1) + (b - b1)
}

/** a · b - product for product = fl(a · b), |a|, |b| < 2⁹⁹⁶ and no underflow. */
export function productError(a: number, b: number, product: number): number {
  const aShifted = a * 0x8000001
  const aUpper = aShifted - (aShifted - a)
  const aLower = a - aUpper
  const bShifted = b * 0x8000001
  const bUpper = bShifted - (bShifted - b)
  const bLower = b - bUpper
  return aLower * bLower - (product - aUpper * bUpper - aLower * bUpper - aUpper * bLower)
}

/** (a + aError) / (b + bError) - quotient for quotient = fl(a / b), to twice the digits. */
export function quotientError(
  a: number,
  aError: number,
  b: number,
  bError: number,
  quotient: number,
): number {
  const product = quotient * b
  const rest = a - product - productError(quotient, b, product)
  return (rest + aError - quotient * bError) / b
}
