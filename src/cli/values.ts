// The values of options: numbers, counts, sizes in bytes, lists. What is none is an error that names the
// option.

import { InvalidArgumentError } from 'commander'

export function number(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value)) {
    throw new InvalidArgumentError('expected a number.')
  }
  return value
}

export function count(text: string): number {
  const value = number(text)
  if (!Number.isInteger(value) || value < 1) {
    throw new InvalidArgumentError('expected a whole number from 1 up.')
  }
  return value
}

export function countOrNone(text: string): number {
  return text.trim() === '0' ? 0 : count(text)
}

export function numbers(text: string): number[] {
  return text.split(',').map(number)
}

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  k: 1024,
  m: 1024 * 1024,
  g: 1024 * 1024 * 1024,
}

export function bytes(text: string): number {
  const match = /^([\d.]+)\s*([kmg]?)b?$/i.exec(text)
  if (!match) {
    throw new InvalidArgumentError('expected a size such as 512M or 2G.')
  }
  return number(match[1]) * UNITS[match[2].toLowerCase()]
}
