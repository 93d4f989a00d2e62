// GGUF version 3 files of adapters, by the description of the format (github.com/ggml-org/ggml,
// docs/gguf.md): everything little-endian, sizes of tensors fastest first, data at multiples of 32 bytes.

const VALUE_TYPES = { UINT32: 4, FLOAT32: 6, STRING: 8 }
const TENSOR_TYPES = { F32: 0, F16: 1 }
const ALIGNMENT = 32

function uint(bytes, value) {
  const buffer = Buffer.alloc(8)
  buffer.writeBigUInt64LE(BigInt(value))
  return buffer.subarray(0, bytes)
}

function float32(value) {
  const buffer = Buffer.alloc(4)
  buffer.writeFloatLE(value)
  return buffer
}

function text(value) {
  const bytes = Buffer.from(value, 'utf8')
  return Buffer.concat([uint(8, bytes.length), bytes])
}

/** The bits of a number that a half holds exactly and as a normal number, or of zero. */
function exactHalf(value) {
  if (value === 0) {
    return 0
  }
  const exponent = Math.floor(Math.log2(Math.abs(value)))
  const fraction = (Math.abs(value) / 2 ** exponent - 1) * 1024
  if (!Number.isInteger(fraction) || exponent < -14 || exponent > 15) {
    throw new Error(`expected a number that a half holds, got ${value}`)
  }
  return (value < 0 ? 0x8000 : 0) | ((exponent + 15) << 10) | fraction
}

const aligned = length => Math.ceil(length / ALIGNMENT) * ALIGNMENT
const padding = length => Buffer.alloc(aligned(length) - length)

function valueBytes({ type, value }) {
  const bytes = { STRING: text, FLOAT32: float32, UINT32: n => uint(4, n) }[type](value)
  return Buffer.concat([uint(4, VALUE_TYPES[type]), bytes])
}

/** A file of keys { type, value } and matrices { rows, cols, data }, in their order. */
export function gguf(keys, tensors, type) {
  const width = type === 'F32' ? 4 : 2
  const parts = [Buffer.from('GGUF'), uint(4, 3)]
  const [names, matrices] = [Object.keys(tensors), Object.values(tensors)]
  parts.push(uint(8, names.length), uint(8, Object.keys(keys).length))
  for (const [key, value] of Object.entries(keys)) {
    parts.push(text(key), valueBytes(value))
  }
  let place = 0
  matrices.forEach(({ rows, cols }, i) => {
    parts.push(text(names[i]), uint(4, 2), uint(8, cols), uint(8, rows))
    parts.push(uint(4, TENSOR_TYPES[type]), uint(8, place))
    place += aligned(rows * cols * width)
  })
  const head = Buffer.concat(parts)
  const bodies = matrices.map(({ data }) => {
    const body = Buffer.concat(data.map(v => (type === 'F32' ? float32(v) : uint(2, exactHalf(v)))))
    return Buffer.concat([body, padding(body.length)])
  })
  return Buffer.concat([head, padding(head.length), ...bodies])
}
