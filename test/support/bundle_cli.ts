// The command line as one program, from the sources as they are.

import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'rolldown'

const at = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url))

/** Writes `main.mjs` and its chunks into `dir`. */
export async function bundleCli(dir: string): Promise<void> {
  const binaries = readdirSync(at('src/backends/wasm/binaries'))
  await build({
    input: { main: at('src/cli/main.ts') },
    platform: 'node',
    resolve: {
      alias: {
        ...Object.fromEntries(
          binaries.map(file => [
            `#kernels/${file.replace('.ts', '')}`,
            at(`src/backends/wasm/binaries/${file}`),
          ]),
        ),
        '#kernels': at('src/backends/wasm/default.ts'),
      },
    },
    output: { dir, entryFileNames: '[name].mjs', chunkFileNames: '[name].mjs' },
  })
}
