// A program that is killed while it writes a directory: run as
// `interrupted-writer.ts PATH overwrite|new WAIT_AT`, it writes two files of which every piece
// says its number on the standard output, and waits for ever before piece WAIT_AT.

import process from 'node:process'
import { directory } from '../../src/node/index.ts'

const [path, mode, waitAt] = process.argv.slice(2)
let piece = 0

async function* content(letter: string): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < 4; i++) {
    process.stdout.write(`piece ${piece}\n`)
    if (piece === Number(waitAt)) {
      setInterval(() => {}, 1000)
      await new Promise(() => {})
    }
    piece++
    yield new TextEncoder().encode(letter.repeat(100_000))
  }
}

const files = new Map([
  ['adapter_config.json', content('c')],
  ['adapter_model.safetensors', content('m')],
])
await directory(path).writeAll(files, { overwrite: mode === 'overwrite' })
process.stdout.write('done\n')
