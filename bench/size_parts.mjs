// What each module of src/ adds to a bundle: the bytes that the gzipped bundle of all modules has more than
// that of all the others. Modules that gzip finds alike share what they have in common, so the sum is less than
// the whole.

import { readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'rolldown'

const source = join(dirname(dirname(fileURLToPath(import.meta.url))), 'src')
const binaries = join(source, 'backends/wasm/binaries')

const alias = {
  ...Object.fromEntries(
    readdirSync(binaries).map(file => [`#kernels/${file.slice(0, -3)}`, join(binaries, file)]),
  ),
  '#kernels': join(source, 'backends/wasm/default.ts'),
  'lowrank/models/auto': join(source, 'models/auto.ts'),
  ...Object.fromEntries(
    ['lora', 'models', 'train'].map(name => [`lowrank/${name}`, join(source, name, 'index.ts')]),
  ),
  lowrank: join(source, 'index.ts'),
}

const bytes = code => gzipSync(code, { level: 9 }).length

/** The modules of a program, minified, each in a file of its own. */
async function modulesOf(program) {
  const { output } = await build({
    input: 'program',
    write: false,
    platform: 'browser',
    logLevel: 'silent',
    treeshake: { moduleSideEffects: false },
    output: { minify: true, preserveModules: true, preserveModulesRoot: source },
    resolve: { alias },
    plugins: [
      {
        name: 'program',
        resolveId: id => (id === 'program' ? '\0program' : undefined),
        load: id => (id === '\0program' ? program : undefined),
      },
    ],
  })
  return output.filter(({ type }) => type === 'chunk')
}

/** Prints a table for each program, the largest part first. */
export async function printParts(programs) {
  for (const { name, source: program } of programs) {
    const modules = await modulesOf(program)
    const code = modules.map(module => module.code)
    const whole = bytes(code.join('\n'))
    const parts = modules.map(({ fileName }, i) => ({
      fileName,
      added: whole - bytes(code.toSpliced(i, 1).join('\n')),
    }))
    console.log(`\n${name}: ${whole} bytes as one file per module`)
    for (const { fileName, added } of parts.sort((x, y) => y.added - x.added)) {
      console.log(String(added).padStart(7), fileName)
    }
  }
}
