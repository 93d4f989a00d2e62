// The rules of the safetensors format, each under a name, and those among them that are about
// numbers: a tensor's bytes follow from its shape and type, tensors follow each other without
// holes or overlaps, the last one ends the file. Arithmetic is that of unsigned 64-bit integers.
// Source: safetensors 0.8 (github.com/huggingface/safetensors), Metadata::validate in tensor.rs.

import { DTYPE_BITS, type StoredDType } from './dtypes.ts'

/** The format's rules, by what a broken file has. */
export const SAFETENSORS_RULES = [
  'too-short', // fewer than the 8 bytes of the header's length
  'header-too-long', // a header of more than 100 MB
  'header-beyond-end', // a header that would end after the file
  'utf8', // a header that is not UTF-8
  'json', // a header that is not JSON
  'no-object', // a header that is JSON, but not an object
  'duplicate', // a field twice where the meaning would depend on the reader
  'metadata', // metadata other than text by name
  'entry', // a tensor without dtype, shape or data_offsets
  'dtype', // an element type that the format does not have
  'shape', // a size that is not a whole number from 0 up
  'offsets', // offsets that are not two whole numbers from 0 up
  'overflow', // a shape with more bits than 64-bit integers count
  'part-of-byte', // elements that do not fill their last byte
  'size', // offsets that cover more or fewer bytes than the shape needs
  'reversed', // offsets that end before they start
  'hole', // bytes between two tensors that belong to none
  'overlap', // bytes that belong to two tensors
  'coverage', // data that ends before, or goes on after, the last tensor
] as const

export type SafetensorsRule = (typeof SAFETENSORS_RULES)[number]

export interface SafetensorsProblem {
  readonly rule: SafetensorsRule
  readonly text: string
}

export const LARGEST_U64: bigint = 0xffff_ffff_ffff_ffffn

/** A tensor as its header says it, before anything is known to fit into a number. */
export interface RawEntry {
  readonly name: string
  readonly dtype: StoredDType
  readonly shape: readonly bigint[]
  readonly start: bigint
  readonly end: bigint
}

export type Report = (rule: SafetensorsRule, text: string) => void

export const quoted: (name: string) => string = name => JSON.stringify(name)

/** The bits of a tensor, counted size by size as the reference does; none if they overflow. */
function countBits(entry: RawEntry): bigint | undefined {
  let bits = 1n
  for (const size of [...entry.shape, BigInt(DTYPE_BITS[entry.dtype])]) {
    bits *= size
    if (bits > LARGEST_U64) {
      return undefined
    }
  }
  return bits
}

export function checkSize(entry: RawEntry, report: Report): void {
  const { name, dtype, shape, start, end } = entry
  const what = `${quoted(name)} is ${dtype} [${shape.join(', ')}]`
  const bits = countBits(entry)
  if (bits === undefined || shape.some(size => size > BigInt(Number.MAX_SAFE_INTEGER))) {
    report('overflow', `${what}, which is more than can be counted`)
  } else if (bits % 8n !== 0n) {
    report('part-of-byte', `${what}, ${bits} bits, which is no whole number of bytes`)
  } else if (end < start) {
    report('reversed', `${what}, but its offsets run backwards, from ${start} to ${end}`)
  } else if (bits / 8n !== end - start) {
    report('size', `${what}, ${bits / 8n} bytes, but its offsets cover ${end - start}`)
  }
}

/** Tensors follow each other without holes or overlaps up to the end of the file. */
export function checkLayout(entries: readonly RawEntry[], dataSize: bigint, report: Report): void {
  let covered = 0n
  let before = 'the header'
  for (const { name, start, end } of entries) {
    if (start > covered) {
      report(
        'hole',
        `${start - covered} bytes between ${before} and ${quoted(name)} belong to nothing`,
      )
    }
    if (start < covered) {
      report(
        'overlap',
        `${quoted(name)} starts at byte ${start}, inside ${before}, which ends at ${covered}`,
      )
    }
    covered = end > covered ? end : covered
    before = quoted(name)
  }
  if (covered > dataSize) {
    report(
      'coverage',
      `the tensors need ${covered} bytes, the file has ${dataSize} (is it complete?)`,
    )
  }
  if (covered < dataSize) {
    report('coverage', `the tensors end at byte ${covered} of the data, the file at ${dataSize}`)
  }
}
