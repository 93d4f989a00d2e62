// Writes what engines import that compile nothing at run time: dist/wasm/<family>.wasm from the
// inlined binaries, and for each kind of engine a module per family that imports that file in the
// way the engine understands.
import { mkdirSync, writeFileSync } from 'node:fs'

const KINDS = { workerd: '', 'edge-light': '?module' }

const moduleText = (family, query) => `import module from '../../../wasm/${family}.wasm${query}'

export const ${family} = { name: '${family}', module: () => module }
`

/** Reads dist/backends/wasm/families.js, writes beside it and to dist/wasm. */
export async function writeWasmFiles(dist) {
  const backend = new URL('backends/wasm/', dist)
  const at = path => {
    const folder = new URL(path, dist)
    mkdirSync(folder, { recursive: true })
    return folder
  }
  const families = await import(new URL('families.js', backend))
  for (const [family, binary] of Object.entries(families)) {
    writeFileSync(new URL(`${family}.wasm`, at('wasm/')), binary.bytes())
    for (const [kind, query] of Object.entries(KINDS)) {
      writeFileSync(
        new URL(`${family}.js`, at(`backends/wasm/${kind}/`)),
        moduleText(family, query),
      )
    }
  }
}
