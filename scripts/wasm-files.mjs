// Writes what engines import that compile nothing at run time: dist/wasm/<family>.wasm from the
// inlined binaries, and for each kind of engine a module per family that imports that file in the
// way the engine understands.
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'

const KINDS = { workerd: '', 'edge-light': '?module' }

const moduleText = (family, query) => `import module from '../../../wasm/${family}.wasm${query}'

export const binary = { name: '${family}', module: () => module }
`

/** Reads dist/backends/wasm/binaries, writes beside it and to dist/wasm. */
export async function writeWasmFiles(dist) {
  const backend = new URL('backends/wasm/', dist)
  const at = path => {
    const folder = new URL(path, dist)
    mkdirSync(folder, { recursive: true })
    return folder
  }
  for (const file of readdirSync(new URL('binaries/', backend)).filter(f => f.endsWith('.js'))) {
    const family = file.replace('.js', '')
    const { binary } = await import(new URL(`binaries/${file}`, backend))
    writeFileSync(new URL(`${family}.wasm`, at('wasm/')), binary.bytes())
    for (const [kind, query] of Object.entries(KINDS)) {
      writeFileSync(new URL(file, at(`backends/wasm/${kind}/`)), moduleText(family, query))
    }
  }
}
