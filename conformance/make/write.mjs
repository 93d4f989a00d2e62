// Cases as files: FAMILY/NAME.json beside FAMILY/NAME.safetensors. Tensors are { shape, data, dtype },
// float64 unless said otherwise; inputs and outputs are listed in the JSON.

import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

const SIZES = { F64: 8, F32: 4, I64: 8 }

function put(view, dtype, at, value) {
  if (dtype === 'I64') {
    view.setBigInt64(at, BigInt(value), true)
  } else if (dtype === 'F32') {
    view.setFloat32(at, value, true)
  } else {
    view.setFloat64(at, value, true)
  }
}

/** The bytes of a safetensors file; its header is padded to a multiple of eight bytes. */
export function safetensors(tensors, metadata) {
  const header = metadata ? { __metadata__: metadata } : {}
  let end = 0
  for (const [name, { dtype = 'F64', shape, data }] of Object.entries(tensors)) {
    const start = end
    end += SIZES[dtype] * data.length
    header[name] = { dtype, shape, data_offsets: [start, end] }
  }
  let text = JSON.stringify(header)
  text += ' '.repeat((8 - (text.length % 8)) % 8)
  const view = new DataView(new ArrayBuffer(8 + text.length + end))
  view.setBigUint64(0, BigInt(text.length), true)
  new Uint8Array(view.buffer).set(new TextEncoder().encode(text), 8)
  for (const [name, { dtype = 'F64', data }] of Object.entries(tensors)) {
    const start = 8 + text.length + header[name].data_offsets[0]
    data.forEach((value, i) => {
      put(view, dtype, start + SIZES[dtype] * i, value)
    })
  }
  return new Uint8Array(view.buffer)
}

export const vector = data => ({ shape: [data.length], data })

export const tensorOf = ({ rows, cols, data }) => ({ shape: [rows, cols], data })

/** Writes files below a folder, by their paths. */
export function writeFiles(folder, files) {
  for (const [name, contents] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), contents)
  }
}

/** One line for each field, so that a change of one is a line of a diff. */
export function jsonText(value) {
  const fields = Object.entries(value).filter(([, field]) => field !== undefined)
  const lines = fields.map(([key, field]) => ` ${JSON.stringify(key)}: ${JSON.stringify(field)}`)
  return `{\n${lines.join(',\n')}\n}\n`
}

export function writeCase(folder, family, name, json, inputs, outputs) {
  const whole = {
    case: name,
    family,
    ...json,
    inputs: Object.keys(inputs),
    outputs: Object.keys(outputs),
  }
  writeFiles(folder, {
    [`${family}/${name}.json`]: jsonText(whole),
    [`${family}/${name}.safetensors`]: safetensors({ ...inputs, ...outputs }),
  })
}
