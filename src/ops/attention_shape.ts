// What a call of attention means: its options, the sizes and strides of its operands, and whether they
// fit.

import { dims } from '../core/dims.ts'
import { checkChoice, LowrankError } from '../core/errors.ts'
import { formatShape, type Shape, stridesOf } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import { MASK_KIND } from './attention_reference.ts'
import { MATMUL_SCRATCH } from './matmul.ts'

/** The order of the axes: batch, tokens, heads, head size, or heads before tokens as in PyTorch. */
export type AttentionLayout = 'BTHD' | 'BHTD'

export interface AttentionOptions {
  /**
   * What may be seen, of a shape that broadcasts to [B, H, Tq, Tk]: int32, 0 hides a key; float32 is
   * added to the scores. A padding mask [B, Tk] is passed as [B, 1, 1, Tk].
   */
  readonly mask?: Tensor
  /** Query t sees no key after `queryOffset + t`. */
  readonly isCausal?: boolean
  /** Factor of the scores; 1 / √D if absent. */
  readonly scale?: number
  /** Whether k and v may have fewer heads than q, a divisor of theirs. */
  readonly enableGqa?: boolean
  /** The query at position i sees only keys j with i − window < j ≤ i. */
  readonly window?: number
  /** The position of the first query among the keys; 0 if absent. */
  readonly queryOffset?: number
  /** How many keys are in use, where k and v have room for more; all if absent. */
  readonly keyLength?: number
  /** Scores s become softcap · tanh(s / softcap) before the mask. */
  readonly softcap?: number
  /** The axes of q, k, v and y; 'BTHD' if absent. */
  readonly layout?: AttentionLayout
}

/** Where the rows of an operand are, in the order of a kernel's parameters. */
type Strides = readonly [offset: number, batch: number, head: number, row: number]

type MaskStrides = readonly [kind: number, batch: number, head: number, row: number, column: number]

/** The last parameters of a kernel but its scratch. */
type Settings = readonly [
  B: number,
  H: number,
  group: number,
  Tq: number,
  Tk: number,
  D: number,
  Dv: number,
  scale: number,
  softcap: number,
  causal: number,
  window: number,
  queryOffset: number,
]

export interface AttentionProblem {
  readonly q: Strides
  readonly k: Strides
  readonly v: Strides
  readonly y: Strides
  readonly mask: MaskStrides
  readonly settings: Settings
  readonly yShape: Shape
  readonly lseShape: Shape
  /** Floats of scratch that either direction needs. */
  readonly scratch: number
}

const PATTERNS = {
  BTHD: { q: 'B Tq H D', k: 'B T Hkv D', v: 'B T Hkv Dv' },
  BHTD: { q: 'B H Tq D', k: 'B Hkv T D', v: 'B Hkv T Dv' },
} as const

/** Strides of a contiguous operand. */
function stridesIn(shape: Shape, layout: AttentionLayout): Strides {
  const [batch, second, third] = stridesOf(shape)
  return layout === 'BTHD' ? [0, batch, third, second] : [0, batch, second, third]
}

function maskStrides(mask: Tensor | undefined, full: Shape): MaskStrides {
  if (!mask) {
    return [MASK_KIND.none, 0, 0, 0, 0]
  }
  const { shape } = mask
  const missing = full.length - shape.length
  const fits = missing >= 0 && shape.every((size, i) => size === 1 || size === full[missing + i])
  if (!fits) {
    throw new LowrankError(
      'shape',
      `scaledDotProductAttention: mask ${formatShape(shape)} does not broadcast to ` +
        `[B, H, Tq, Tk] = ${formatShape(full)} (a padding mask [B, Tk] goes in as [B, 1, 1, Tk])`,
    )
  }
  const own = stridesOf(shape)
  const [batch, head, row, column] = full.map((_, axis) =>
    axis < missing || shape[axis - missing] === 1 ? 0 : own[axis - missing],
  )
  const kind = mask.dtype === 'int32' ? MASK_KIND.boolean : MASK_KIND.additive
  return [kind, batch, head, row, column]
}

/** Query heads per key head. */
function groupOf(H: number, Hkv: number, enableGqa: boolean): number {
  if (H === Hkv) {
    return 1
  }
  if (enableGqa && H % Hkv === 0) {
    return H / Hkv
  }
  throw new LowrankError(
    'shape',
    `scaledDotProductAttention: expected as many key heads as query heads, got ${Hkv} and ${H} ` +
      '(enableGqa: true takes a divisor of the query heads)',
  )
}

function checkCount(name: string, value: number, least: number, most: number): void {
  if (!Number.isInteger(value) || value < least || value > most) {
    const range = most === Number.POSITIVE_INFINITY ? `${least} up` : `${least} to ${most}`
    throw new LowrankError(
      'argument',
      `scaledDotProductAttention: ${name} must be a whole number from ${range}, got ${value}`,
    )
  }
}

/** Floats of scratch for either direction: packed keys and values, three tiles of 40 rows. */
export function attentionScratch(Tk: number, D: number, Dv: number): number {
  const width = (Tk + 7) & ~7
  const columns = ((Math.max(D, Dv) + 7) & ~7) * Tk
  return MATMUL_SCRATCH + width * (D + Dv + 120) + columns + 40
}

/** Throws `shape` and `argument` errors where operands and options do not fit. */
export function attentionProblem(
  [q, k, v, mask]: readonly [Tensor, Tensor, Tensor, Tensor | undefined],
  options: AttentionOptions,
): AttentionProblem {
  const { layout = 'BTHD', window, queryOffset = 0, softcap = 0 } = options
  checkChoice('scaledDotProductAttention: layout', layout, Object.keys(PATTERNS))
  const patterns = PATTERNS[layout]
  const { B, Tq, H, D } = dims('scaledDotProductAttention: q', q, patterns.q)
  const { T, Hkv } = dims('scaledDotProductAttention: k', k, patterns.k, { B, D })
  const { Dv } = dims('scaledDotProductAttention: v', v, patterns.v, { B, T, Hkv })
  const { keyLength: Tk = T } = options
  checkCount('keyLength', Tk, 0, T)
  checkCount('queryOffset', queryOffset, 0, Number.POSITIVE_INFINITY)
  if (window !== undefined) {
    checkCount('window', window, 1, Number.POSITIVE_INFINITY)
  }
  const group = groupOf(H, Hkv, options.enableGqa ?? false)
  const scale = options.scale ?? 1 / Math.sqrt(D)
  const causal = options.isCausal || window !== undefined ? 1 : 0
  // A window longer than the keys hides none.
  const reach = window === undefined || window >= queryOffset + Tq ? 0 : window
  const yShape = layout === 'BTHD' ? [B, Tq, H, Dv] : [B, H, Tq, Dv]
  return {
    q: stridesIn(q.shape, layout),
    k: stridesIn(k.shape, layout),
    v: stridesIn(v.shape, layout),
    y: stridesIn(yShape, layout),
    mask: maskStrides(mask, [B, H, Tq, Tk]),
    settings: [B, H, group, Tq, Tk, D, Dv, scale, softcap, causal, reach, queryOffset],
    yShape,
    lseShape: [B, H, Tq],
    scratch: attentionScratch(Tk, D, Dv),
  }
}
