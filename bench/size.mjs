// Kilobytes (1000 bytes, gzipped, minified by rolldown) of what programs and whole entries cost to
// download, kernels included, bundled from the built package as a dependent would; what a program may fetch
// later, where it turns out to need it, is said beside. Peers, where they are installed (npm ci --prefix
// bench/peers), the same way, with the WASM files that they fetch. Fails where a program outgrows its limit.
// With --by-file, what each module adds to the programs instead.
//   npm run build && node bench/size.mjs [--by-file]
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'rolldown'
import { printParts } from './size_parts.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

const PROGRAMS = [
  {
    name: 'LoRA on a linear layer',
    limit: 29,
    source: `
      import { AdamW, attach, Linear, mseLoss, tensor, trainStep } from 'lowrank'
      const model = attach(new Linear(8, 8), { r: 2 })
      const optimizer = new AdamW(model.trainable(), { lr: 1e-3 })
      const x = tensor(new Float32Array(8), [1, 8])
      trainStep(optimizer, () => mseLoss(model.forward(x), x)).then(console.log)
    `,
  },
]

const llama = (names, last) => `
  import { attach } from 'lowrank'
  import { saveAdapter } from 'lowrank/lora'
  ${names}
  globalThis.program = [attach, saveAdapter, ${last}]
`
PROGRAMS.push(
  {
    name: 'a Llama, trained step by step, its adapter saved',
    limit: 53,
    source: llama(
      `import { AdamW, trainStep } from 'lowrank'
       import { LlamaForCausalLM, readLlamaConfig } from 'lowrank/models'`,
      'AdamW, trainStep, LlamaForCausalLM, readLlamaConfig',
    ),
  },
  {
    name: 'a Llama fine-tune: files loaded, `finetune`, adapter saved',
    limit: 60.5,
    source: llama(
      `import { loadModel } from 'lowrank/models/auto'
       import { finetune } from 'lowrank/train'`,
      'loadModel, finetune',
    ),
  },
)

const PEERS = [
  {
    name: 'tfjs with its WASM backend',
    modules: ['@tensorflow/tfjs', '@tensorflow/tfjs-backend-wasm'],
    files: ['@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm'],
  },
  { name: 'jax-js', modules: ['@jax-js/jax'], files: [] },
  {
    name: 'ORT-web (inference only)',
    modules: ['onnxruntime-web/wasm'],
    files: ['onnxruntime-web/dist/ort-wasm-simd-threaded.wasm'],
  },
]

const kilobytes = code => gzipSync(code, { level: 9 }).length / 1000

/** The sizes of a program, bundled with what it imports: what is loaded with it, and what later. */
async function sizesOf(source, folder) {
  const { output } = await build({
    input: 'program',
    cwd: folder,
    write: false,
    platform: 'browser',
    logLevel: 'silent',
    external: [/^node:/],
    // The sources that tsconfig.json leads to are not what is installed.
    tsconfig: false,
    output: { minify: true },
    plugins: [
      {
        name: 'program',
        resolveId: id => (id === 'program' ? join(folder, 'program.mjs') : undefined),
        load: id => (id === join(folder, 'program.mjs') ? source : undefined),
      },
    ],
  })
  const chunks = output.filter(({ type }) => type === 'chunk')
  const loaded = new Set(chunks.filter(({ isEntry }) => isEntry))
  for (const { imports } of loaded) {
    for (const chunk of chunks.filter(({ fileName }) => imports.includes(fileName))) {
      loaded.add(chunk)
    }
  }
  const sum = some => some.reduce((total, { code }) => total + kilobytes(code), 0)
  return { size: sum([...loaded]), later: sum(chunks.filter(chunk => !loaded.has(chunk))) }
}

const everything = modules =>
  modules.map((name, i) => `import * as m${i} from '${name}'\nglobalThis.m${i} = m${i}`).join('\n')

const print = (name, size, note = '') => console.log(`| ${name} | ${size.toFixed(1)} |${note}`)

/** What else there is to say of a size. */
const noteOf = (later, other) =>
  [other, later > 0 ? `${later.toFixed(1)} more on demand` : '']
    .filter(Boolean)
    .map(note => ` ${note}`)
    .join(',')

/** The folder of a module's package. */
const packageOf = module =>
  module
    .split('/')
    .slice(0, module.startsWith('@') ? 2 : 1)
    .join('/')

async function printPrograms() {
  for (const { name, limit, source } of PROGRAMS) {
    const { size, later } = await sizesOf(source, root)
    print(name, size, noteOf(later, `at most ${limit}`))
    if (size > limit) {
      process.exitCode = 1
    }
  }
}

async function printEntries() {
  for (const [entry, target] of Object.entries(exports)) {
    if (typeof target === 'object') {
      const name = `lowrank${entry.slice(1)}`
      const { size, later } = await sizesOf(everything([name]), root)
      print(`all of \`${name}\``, size, noteOf(later))
    }
  }
  const wasm = join(root, 'dist/wasm')
  for (const file of readdirSync(wasm)) {
    print(`\`${file}\``, kilobytes(readFileSync(join(wasm, file))))
  }
}

async function printPeers() {
  const peers = join(root, 'bench/peers')
  const installed = join(peers, 'node_modules')
  for (const { name, modules, files } of PEERS) {
    if (existsSync(join(installed, packageOf(modules[0])))) {
      const { size, later } = await sizesOf(everything(modules), peers)
      const wasm = files.reduce(
        (sum, file) => sum + kilobytes(readFileSync(join(installed, file))),
        0,
      )
      const note = wasm > 0 ? `${wasm.toFixed(1)} of it WASM` : ''
      print(name, size + wasm, noteOf(later, note))
    }
  }
}

if (process.argv.includes('--by-file')) {
  await printParts(PROGRAMS)
} else {
  console.log('| | KB |\n|---|--:|')
  await printPrograms()
  await printEntries()
  await printPeers()
}
