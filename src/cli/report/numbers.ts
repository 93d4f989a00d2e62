// Numbers as people read them, in one style for tables, captions and axes.

/** 1234567 as `1,234,567`. */
export function count(value: number): string {
  return value.toLocaleString('en-US')
}

/** Counts too long for a headline in millions. */
export function shortCount(value: number): string {
  return value < 1e7 ? count(value) : `${count(Number((value / 1e6).toPrecision(3)))} M`
}

/** `1 layer`, `2 layers`. */
export function counted(value: number, noun: string): string {
  return `${count(value)} ${noun}${value === 1 ? '' : 's'}`
}

export function bytes(value: number): string {
  return Math.abs(value) >= 1e9
    ? `${(value / 1e9).toFixed(2)} GB`
    : `${(value / 1e6).toFixed(2)} MB`
}

/** With so many significant digits, without trailing zeros. */
export function significant(value: number, digits: number = 3): string {
  return Number.isFinite(value) ? String(Number(value.toPrecision(digits))) : String(value)
}

/** A share from 0 to 1 as a percentage with so many digits. */
export function percent(share: number, digits: number = 3): string {
  const value = 100 * share
  if (value === 0 || !Number.isFinite(value)) {
    return `${value}%`
  }
  // Beyond its digits, toPrecision would write 1.2e+2.
  return `${value >= powerOfTen(digits) ? value.toFixed(0) : value.toPrecision(digits)}%`
}

export function duration(seconds: number): string {
  if (seconds < 100) {
    return `${seconds.toFixed(1)} s`
  }
  const whole = Math.round(seconds)
  const hours = Math.floor(whole / 3600)
  const minutes = Math.floor((whole % 3600) / 60)
  return hours > 0 ? `${hours} h ${minutes} min` : `${minutes} min ${whole % 60} s`
}

/** The largest n with 10ⁿ ≤ value, for value > 0. */
export function decadeOf(value: number): number {
  return Number(value.toExponential().split('e')[1])
}

/** 10ⁿ, correctly rounded. */
export function powerOfTen(n: number): number {
  return Number(`1e${n}`)
}

/**
 * The ends of a logarithmic axis around values from `low` to `high`: 1, 2 or 5 times 10ⁿ, or powers
 * of ten where there would not be two of them between, since only these are labelled.
 */
export function logarithmicEnds(low: number, high: number): readonly [number, number] {
  const steps = (value: number): number[] =>
    [1, 2, 5, 10].map(step => Number(`${step}e${decadeOf(value)}`))
  const below = steps(low).filter(step => step <= low)
  const above = steps(high).filter(step => step > high)
  const ends = [below[below.length - 1], above[0]] as const
  const [first, last] = [decadeOf(low), decadeOf(high)]
  const powers = decadeOf(ends[1]) - (ends[0] === powerOfTen(first) ? first : first + 1) + 1
  return powers >= 2 ? ends : [powerOfTen(first), powerOfTen(last + 1)]
}

/** The label of a logarithmic axis: powers of ten, and nothing for other values. */
export function powerLabel(value: number): string {
  // The axis comes by its values through logarithms, not quite exactly.
  const rounded = Number(value.toPrecision(3))
  const decade = decadeOf(rounded)
  if (rounded !== powerOfTen(decade)) {
    return ''
  }
  return Math.abs(decade) > 3 ? `1e${decade}` : String(rounded)
}
