// Element types of stored tensors, by the names of the safetensors format, and their values:
// little-endian bytes [n · width], at any alignment, to typed arrays [n] and back.
// Half precision as in core/half.ts: rounded to nearest even, NaN kept.
// Source: safetensors (github.com/huggingface/safetensors), enum Dtype, in its order.

import type { DType } from '../core/dtype.ts'
import { LowrankError } from '../core/errors.ts'
import { narrow, widen } from '../core/half.ts'

/** Bits of one element. The order is that of the format: a writer puts the last types first. */
export const DTYPE_BITS = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
} as const

/** The name of an element type in a safetensors file. */
export type StoredDType = keyof typeof DTYPE_BITS

export const STORED_DTYPES: readonly StoredDType[] = /* @__PURE__ */ Object.keys(
  DTYPE_BITS,
) as StoredDType[]

type Values =
  | Float64Array
  | Float32Array
  | Int32Array
  | Uint32Array
  | Int16Array
  | Uint16Array
  | Int8Array
  | Uint8Array
  | BigInt64Array
  | BigUint64Array

const BIG_ENDIAN: boolean = /* @__PURE__ */ isBigEndian()

function isBigEndian(): boolean {
  return new Uint8Array(new Uint16Array([1]).buffer)[0] === 0
}

const TENSOR_DTYPES: Readonly<Record<DType, StoredDType>> = {
  float32: 'F32',
  float16: 'F16',
  bfloat16: 'BF16',
  int32: 'I32',
}

/** The tensor element type that a stored one is, or none. */
export function tensorDType(stored: StoredDType): DType | undefined {
  const names = Object.keys(TENSOR_DTYPES) as DType[]
  return names.find(name => TENSOR_DTYPES[name] === stored)
}

/** The stored type of a tensor element type. */
export function storedDType(dtype: DType): StoredDType {
  return TENSOR_DTYPES[dtype]
}

export function isStoredDType(name: string): name is StoredDType {
  return Object.hasOwn(DTYPE_BITS, name)
}

/** Bytes of a tensor; not a whole number if its bits do not fill the last byte. */
export function byteLength(dtype: StoredDType, shape: readonly number[]): number {
  return (shape.reduce((count, size) => count * size, 1) * DTYPE_BITS[dtype]) / 8
}

/** Each element's bytes in the opposite order, in place. */
export function swapBytes(bytes: Uint8Array, width: number): Uint8Array {
  for (let at = 0; at < bytes.length; at += width) {
    bytes.subarray(at, at + width).reverse()
  }
  return bytes
}

/** The same bytes where a typed array can view them: aligned, in this machine's order. */
function viewable(where: string, bytes: Uint8Array, width: number): Uint8Array {
  if (bytes.length % width !== 0) {
    throw new LowrankError(
      'file',
      `${where}: expected elements of ${width} bytes, got ${bytes.length} bytes, no multiple of it`,
    )
  }
  if (width === 1 || (!BIG_ENDIAN && bytes.byteOffset % width === 0)) {
    return bytes
  }
  // Not bytes.slice(): that of a Node Buffer would share its memory.
  const copy = new Uint8Array(bytes)
  return BIG_ENDIAN ? swapBytes(copy, width) : copy
}

interface ViewOf<V> {
  new (buffer: ArrayBuffer, at: number, count: number): V
  readonly BYTES_PER_ELEMENT: number
}

/** The elements of bytes, which they share where aligned. */
function viewed<V>(where: string, bytes: Uint8Array, View: ViewOf<V>): V {
  const width = View.BYTES_PER_ELEMENT
  const { buffer, byteOffset, length } = viewable(where, bytes, width)
  return new View(buffer as ArrayBuffer, byteOffset, length / width)
}

interface FloatArrays {
  readonly F64: Float64Array
  readonly F32: Float32Array
  readonly F16: Uint16Array
  readonly BF16: Uint16Array
}

/** The types that weights are stored in. */
export type StoredFloat = keyof FloatArrays

const FLOAT_VIEWS: { readonly [D in StoredFloat]: ViewOf<FloatArrays[D]> } = {
  F64: Float64Array,
  F32: Float32Array,
  F16: Uint16Array,
  BF16: Uint16Array,
}

/** Stored floats, halves as their bits. The result shares the memory of aligned `bytes`. */
export function floatsIn<D extends StoredFloat>(bytes: Uint8Array, dtype: D): FloatArrays[D] {
  return viewed(`floats of ${dtype}`, bytes, FLOAT_VIEWS[dtype])
}

/** The little-endian bytes of numbers in a float type of tensors, rounded to nearest even; a fresh array. */
export function floatBytes(
  values: ArrayLike<number>,
  dtype: 'float32' | 'float16' | 'bfloat16',
): Uint8Array {
  return bytesOf(dtype === 'float32' ? Float32Array.from(values) : narrow(values, dtype))
}

const VIEWS = {
  F64: Float64Array,
  F32: Float32Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  I64: BigInt64Array,
  U64: BigUint64Array,
  I32: Int32Array,
  U32: Uint32Array,
  I16: Int16Array,
  U16: Uint16Array,
  I8: Int8Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
} as const

type Decoded = keyof typeof VIEWS

function isDecoded(dtype: StoredDType): dtype is Decoded {
  return Object.hasOwn(VIEWS, dtype)
}

function view(where: string, bytes: Uint8Array, dtype: StoredDType): Values {
  if (!isDecoded(dtype)) {
    const known = Object.keys(VIEWS).join(', ')
    throw new LowrankError('dtype', `${where}: expected one of ${known}, got ${dtype}`)
  }
  return viewed(where, bytes, VIEWS[dtype] as ViewOf<Values>)
}

/** Half precision widened, 64-bit integers as (rounded) numbers, everything else as it is. */
function numbers(where: string, bytes: Uint8Array, dtype: StoredDType): ArrayLike<number> {
  const values = view(where, bytes, dtype)
  if (dtype === 'F16' || dtype === 'BF16') {
    return widen(values as Uint16Array, dtype === 'F16' ? 'float16' : 'bfloat16')
  }
  if (values instanceof BigInt64Array || values instanceof BigUint64Array) {
    return Float64Array.from(values, Number)
  }
  return values
}

/**
 * Stored elements as f32: F16, BF16, small integers and BOOL exactly, F64 and large integers
 * rounded. The result of aligned F32 shares the memory of `bytes`.
 *
 * Throws `dtype` for F8, F6, F4 and C64, `file` if the bytes are no whole number of elements.
 *
 * @example
 * ```ts
 * import { toFloat32 } from 'lowrank/io'
 *
 * console.log(toFloat32(new Uint8Array([0x80, 0x3f, 0x00, 0xc0]), 'BF16')) // Float32Array [1, -2]
 * ```
 */
export function toFloat32(bytes: Uint8Array, dtype: StoredDType): Float32Array {
  const values = numbers('toFloat32', bytes, dtype)
  return values instanceof Float32Array ? values : new Float32Array(values)
}

/**
 * Stored elements as f64: all exactly but 64-bit integers beyond 2⁵³. The result of aligned F64
 * shares the memory of `bytes`.
 *
 * Throws as `toFloat32` does.
 *
 * @example
 * ```ts
 * import { toFloat64 } from 'lowrank/io'
 *
 * console.log(toFloat64(new Uint8Array([0, 0x3c, 0, 0xc0]), 'F16')) // Float64Array [1, -2]
 * ```
 */
export function toFloat64(bytes: Uint8Array, dtype: StoredDType): Float64Array {
  const values = numbers('toFloat64', bytes, dtype)
  return values instanceof Float64Array ? values : new Float64Array(values)
}

/**
 * Stored integers as int32. The result of aligned I32 shares the memory of `bytes`.
 *
 * Throws `dtype` for types that are no integers, `data` for a value beyond 32 bits.
 *
 * @example
 * ```ts
 * import { toInt32 } from 'lowrank/io'
 *
 * console.log(toInt32(new Uint8Array([7, 0, 0, 0, 0, 0, 0, 0]), 'I64')) // Int32Array [7]
 * ```
 */
export function toInt32(bytes: Uint8Array, dtype: StoredDType): Int32Array {
  if (!/^[IU]\d+$|^BOOL$/.test(dtype)) {
    throw new LowrankError('dtype', `toInt32: expected integers, got ${dtype}`)
  }
  const values = view('toInt32', bytes, dtype)
  if (values instanceof Int32Array) {
    return values
  }
  const integers = new Int32Array(values.length)
  for (let i = 0; i < values.length; i++) {
    integers[i] = Number(values[i])
    if (integers[i] !== Number(values[i])) {
      throw new LowrankError(
        'data',
        `toInt32: expected values of 32 bits, got ${values[i]} at index ${i} of ${values.length}`,
      )
    }
  }
  return integers
}

function encodable(values: ArrayLike<number>, dtype: StoredDType): Values {
  switch (dtype) {
    case 'F64':
      return new Float64Array(values)
    case 'F32':
      return new Float32Array(values)
    case 'F16':
      return narrow(values, 'float16')
    case 'BF16':
      return narrow(values, 'bfloat16')
    case 'I32':
      return new Int32Array(values)
    case 'I64':
      return BigInt64Array.from(values as number[], BigInt)
    case 'U8':
    case 'BOOL':
      return new Uint8Array(values)
    default:
      throw new LowrankError(
        'dtype',
        `fromNumbers: expected F64, F32, F16, BF16, I32, I64, U8 or BOOL, got ${dtype}`,
      )
  }
}

/**
 * The little-endian bytes of numbers as elements of a stored type, rounded to nearest even; a
 * fresh array. (F16 and BF16 round through f32.)
 *
 * Throws `dtype` for types it does not write.
 *
 * @example
 * ```ts
 * import { fromNumbers } from 'lowrank/io'
 *
 * console.log(fromNumbers([1, -2], 'BF16')) // Uint8Array [128, 63, 0, 192]
 * ```
 */
export function fromNumbers(values: ArrayLike<number>, dtype: StoredDType): Uint8Array {
  const encoded = encodable(values, dtype)
  const bytes = new Uint8Array(encoded.buffer)
  return BIG_ENDIAN ? swapBytes(bytes, DTYPE_BITS[dtype] / 8) : bytes
}

/** The little-endian bytes of half-precision bits, or of a typed array, without a copy. */
export function bytesOf(values: Values): Uint8Array {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  return BIG_ENDIAN ? swapBytes(new Uint8Array(bytes), values.BYTES_PER_ELEMENT) : bytes
}
