// A GGUF file of llama.cpp's converter as readers need it: where the converter loses a scaling, B times
// what was lost, PEFT's scale over the file's; of GPT-2, whose Conv1D it leaves transposed, A and B for
// y = B·A·x, which are the transposes of what it calls B and A.

/** What llama.cpp calls a layer, by the end of its path. */
const NAMES = {
  q_proj: 'attn_q',
  k_proj: 'attn_k',
  v_proj: 'attn_v',
  o_proj: 'attn_output',
  qkv_proj: 'attn_qkv',
  gate_proj: 'ffn_gate',
  up_proj: 'ffn_up',
  gate_up_proj: 'ffn_up',
  down_proj: 'ffn_down',
  'attn.c_attn': 'attn_qkv',
  'attn.c_proj': 'attn_output',
  'mlp.c_fc': 'ffn_up',
  'mlp.c_proj': 'ffn_down',
  query_key_value: 'attn_qkv',
  dense: 'attn_output',
  dense_h_to_4h: 'ffn_up',
  dense_4h_to_h: 'ffn_down',
  wte: 'token_embd',
  wpe: 'position_embd',
  embed_in: 'token_embd',
  embed_tokens: 'token_embd',
  embed_out: 'output',
  lm_head: 'output',
}

function nameOf(path) {
  const end = Object.keys(NAMES).find(key => path === key || path.endsWith(`.${key}`))
  const block = /\.(\d+)\./.exec(path)
  return `${block ? `blk.${block[1]}.` : ''}${NAMES[end]}`
}

/** Sizes of the values that adapters have: UINT32, FLOAT32. */
const FIXED = { 4: 4, 6: 4 }

class Reader {
  constructor(file) {
    this.file = file
    this.at = 0
  }

  uint32() {
    this.at += 4
    return this.file.readUInt32LE(this.at - 4)
  }

  uint64() {
    this.at += 8
    return Number(this.file.readBigUInt64LE(this.at - 8))
  }

  text() {
    const length = this.uint64()
    this.at += length
    return this.file.toString('utf8', this.at - length, this.at)
  }
}

/** Where each tensor's name ends, where its two sizes are, and where its elements. */
function placesOf(file) {
  const reader = new Reader(file)
  reader.at = 8
  const [count, keys] = [reader.uint64(), reader.uint64()]
  for (let i = 0; i < keys; i++) {
    reader.text()
    const type = reader.uint32()
    type in FIXED ? (reader.at += FIXED[type]) : reader.text()
  }
  const places = Array.from({ length: count }, () => {
    const name = reader.text()
    const nameEnd = reader.at
    const dimensions = reader.uint32()
    const sizesAt = reader.at
    const dims = Array.from({ length: dimensions }, () => reader.uint64())
    return { name, nameEnd, sizesAt, dims, type: reader.uint32(), offset: reader.uint64() }
  })
  const start = Math.ceil(reader.at / 32) * 32
  return places.map(place => ({ ...place, start: start + place.offset }))
}

function halfValue(bits) {
  const exponent = (bits >> 10) & 31
  const fraction = bits & 1023
  const size = exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25)
  return bits & 0x8000 ? -size : size
}

function halfBits(value) {
  const size = Math.abs(value)
  const exponent = Math.max(-14, Math.floor(Math.log2(size || 2 ** -14)))
  const units = Math.round(size * 2 ** (10 - exponent))
  return (value < 0 ? 0x8000 : 0) | (units + ((exponent + 14) << 10))
}

const TYPES = {
  0: {
    width: 4,
    read: (file, at) => file.readFloatLE(at),
    write: (file, at, value) => file.writeFloatLE(value, at),
  },
  1: {
    width: 2,
    read: (file, at) => halfValue(file.readUInt16LE(at)),
    write: (file, at, value) => file.writeUInt16LE(halfBits(value), at),
  },
}

function transposed(values, cols, rows) {
  return values.map((_, at) => values[(at % rows) * cols + Math.floor(at / rows)])
}

/** Writes A as the transposed B, or B as the transposed A: the name's last letter, sizes, elements. */
function turn(file, { name, nameEnd, sizesAt, dims: [cols, rows] }, values) {
  file.write(name.endsWith('a') ? 'b' : 'a', nameEnd - 1)
  file.writeBigUInt64LE(BigInt(rows), sizesAt)
  file.writeBigUInt64LE(BigInt(cols), sizesAt + 8)
  return transposed(values, cols, rows)
}

export function corrected(original, { kv, scaling }) {
  const file = Buffer.from(original)
  const turned = kv['general.architecture'].value === 'gpt2'
  const lost = Object.fromEntries(
    Object.entries(scaling).map(([path, { peft, gguf }]) => [nameOf(path), peft / gguf]),
  )
  for (const place of placesOf(original)) {
    const { name, dims, type, start } = place
    const { width, read, write } = TYPES[type]
    const count = dims.reduce((product, size) => product * size, 1)
    const stored = Array.from({ length: count }, (_, i) => read(file, start + i * width))
    const isTurned = turned && !/^(token|position)_embd/.test(name)
    const values = isTurned ? turn(file, place, stored) : stored
    const isB = name.endsWith('lora_b') !== isTurned
    const factor = isB ? lost[name.replace(/\.weight\.lora_[ab]$/, '')] : 1
    values.forEach((value, i) => {
      write(file, start + i * width, value * factor)
    })
  }
  return file
}
