// Kilobytes (1000 bytes, gzipped, minified by rolldown) of what programs and whole entries cost to
// download, kernels included; peers, where they are installed (npm ci --prefix bench/peers), the same way,
// their WASM files beside. Fails where a program outgrows its limit.
//   npm run build && node bench/size.mjs
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'rolldown'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

const PROGRAMS = [
  {
    name: 'LoRA on a linear layer',
    limit: 30,
    source: `
      import { AdamW, attach, Linear, mseLoss, tensor, trainStep } from 'lowrank'
      const model = attach(new Linear(8, 8), { r: 2 })
      const optimizer = new AdamW(model.trainable(), { lr: 1e-3 })
      const x = tensor(new Float32Array(8), [1, 8])
      trainStep(optimizer, () => mseLoss(model.forward(x), x)).then(console.log)
    `,
  },
]

const PEERS = [
  {
    name: 'tfjs with its WASM backend',
    modules: ['@tensorflow/tfjs', '@tensorflow/tfjs-backend-wasm'],
  },
  { name: 'jax-js', modules: ['@jax-js/jax'] },
  { name: 'ORT-web (inference only)', modules: ['onnxruntime-web/wasm'] },
]

const kilobytes = code => gzipSync(code, { level: 9 }).length / 1000

/** The size of a program, bundled with what it imports. */
async function sizeOf(source, folder) {
  const { output } = await build({
    input: 'program',
    cwd: folder,
    write: false,
    platform: 'browser',
    logLevel: 'silent',
    external: [/^node:/],
    output: { minify: true, codeSplitting: false },
    plugins: [
      {
        name: 'program',
        resolveId: id => (id === 'program' ? join(folder, 'program.mjs') : undefined),
        load: id => (id === join(folder, 'program.mjs') ? source : undefined),
      },
    ],
  })
  return kilobytes(output[0].code)
}

const everything = modules =>
  modules.map((name, i) => `import * as m${i} from '${name}'\nglobalThis.m${i} = m${i}`).join('\n')

const print = (name, size, note = '') => console.log(`| ${name} | ${size.toFixed(1)} |${note}`)

console.log('| | KB |\n|---|--:|')
for (const { name, limit, source } of PROGRAMS) {
  const size = await sizeOf(source, root)
  print(name, size, ` at most ${limit}`)
  if (size > limit) {
    process.exitCode = 1
  }
}
for (const [entry, target] of Object.entries(exports)) {
  if (typeof target === 'object') {
    const name = `lowrank${entry.slice(1)}`
    print(`all of \`${name}\``, await sizeOf(everything([name]), root))
  }
}
const wasm = join(root, 'dist/wasm')
for (const file of readdirSync(wasm)) {
  print(`\`${file}\``, kilobytes(readFileSync(join(wasm, file))))
}
const peers = join(root, 'bench/peers')
for (const { name, modules } of PEERS) {
  if (existsSync(join(peers, 'node_modules', modules[0].split('/').slice(0, 2).join('/')))) {
    try {
      print(name, await sizeOf(everything(modules), peers))
    } catch (error) {
      console.warn(`${name}: ${error.message.split('\n')[0]}`)
    }
  }
}
