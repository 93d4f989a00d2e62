// What an import costs: a bundle of one op holds no other op, and a program that fine-tunes a linear
// layer, kernels included, is at most 30 KB gzipped.

import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build, type OutputChunk } from 'rolldown'
import { beforeAll, describe, expect, it } from 'vitest'

const path = (name: string): string => fileURLToPath(new URL(`../../${name}`, import.meta.url))

type Bundle = Pick<OutputChunk, 'code' | 'modules'>

/**
 * Bundles and minifies a program that imports the library by its public names: the chunks that are
 * loaded with it. What is imported later, on demand, is not among them.
 */
async function bundle(program: string): Promise<Bundle> {
  const result = await build({
    input: 'program',
    write: false,
    treeshake: { moduleSideEffects: false },
    output: { minify: true },
    resolve: {
      alias: {
        ...Object.fromEntries(
          readdirSync(path('src/backends/wasm/binaries')).map(file => [
            `#kernels/${file.replace('.ts', '')}`,
            path(`src/backends/wasm/binaries/${file}`),
          ]),
        ),
        '#kernels': path('src/backends/wasm/default.ts'),
        'lowrank/lora': path('src/lora/index.ts'),
        'lowrank/optim': path('src/optim/index.ts'),
        'lowrank/train': path('src/train/index.ts'),
        'lowrank/models/auto': path('src/models/auto.ts'),
        lowrank: path('src/index.ts'),
      },
    },
    plugins: [
      {
        name: 'program',
        resolveId: id => (id === 'program' ? '\0program' : undefined),
        load: id => (id === '\0program' ? program : undefined),
      },
    ],
  })
  const chunks = result.output.filter(file => file.type === 'chunk')
  const loaded = new Set(chunks.filter(({ isEntry }) => isEntry))
  for (const { imports } of loaded) {
    for (const chunk of chunks.filter(({ fileName }) => imports.includes(fileName))) {
      loaded.add(chunk)
    }
  }
  return {
    code: [...loaded].map(({ code }) => code).join('\n'),
    modules: Object.assign({}, ...[...loaded].map(({ modules }) => modules)),
  }
}

const modulesOf = (chunk: Bundle): string[] =>
  Object.entries(chunk.modules)
    .filter(([, { renderedLength }]) => renderedLength > 0)
    .map(([id]) => id.replace(path('src/'), ''))

describe('a bundle of matmul alone', () => {
  let chunk: Bundle
  beforeAll(async () => {
    chunk = await bundle(`
      import { matmul, tensor } from 'lowrank'
      console.log(matmul(tensor([1], [1, 1]), tensor([1], [1, 1])).dataSync())
    `)
  })

  it('holds no other op', () => {
    const ops = modulesOf(chunk).filter(id => id.startsWith('ops/'))
    expect(ops.sort()).toEqual(['ops/matmul.ts', 'ops/reshape.ts'])
  })

  it('holds no module, optimizer, adapter or file format', () => {
    const strangers = modulesOf(chunk).filter(id =>
      /^(nn|optim|lora|io|models|train|linalg)\//.test(id),
    )
    expect(strangers).toEqual([])
  })

  it('holds no threads', () => {
    expect(modulesOf(chunk).filter(id => id.includes('/threads/'))).toEqual([])
    expect(chunk.code).not.toMatch(/SharedArrayBuffer|Atomics/)
  })

  it('holds one binary', () => {
    const binaries = modulesOf(chunk).filter(id => id.includes('/binaries/'))
    expect(binaries).toEqual(['backends/wasm/binaries/core.ts'])
    expect(readdirSync(path('src/backends/wasm/binaries')).length).toBeGreaterThan(1)
  })
})

const KB = 1000

describe('gzipped sizes', () => {
  it.each([
    {
      name: 'LoRA on a linear layer, kernels included',
      limit: 30,
      program: `
        import { AdamW, attach, Linear, mseLoss, tensor, trainStep } from 'lowrank'
        const model = attach(new Linear(8, 8), { r: 2 })
        const optimizer = new AdamW(model.trainable(), { lr: 1e-3 })
        const x = tensor(new Float32Array(8), [1, 8])
        console.log(await trainStep(optimizer, () => mseLoss(model.forward(x), x)))
      `,
    },
    {
      name: 'a Llama fine-tune, kernels included',
      limit: 62.5,
      program: `
        import { attach } from 'lowrank'
        import { loadModel } from 'lowrank/models/auto'
        import { finetune } from 'lowrank/train'
        import { saveAdapter } from 'lowrank/lora'
        console.log(attach, loadModel, finetune, saveAdapter)
      `,
    },
    {
      name: 'a Llama fine-tune that also reads adapters and generates',
      limit: 77,
      program: `
        import { attach } from 'lowrank'
        import { loadModel } from 'lowrank/models/auto'
        import { finetune, generate } from 'lowrank/train'
        import { saveAdapter, load } from 'lowrank/lora'
        console.log(attach, loadModel, finetune, generate, saveAdapter, load)
      `,
    },
  ])('$name: at most $limit KB', async ({ program, limit, name }) => {
    const { code } = await bundle(program)
    const size = gzipSync(code, { level: 9 }).length / KB
    console.log(`${name}: ${size.toFixed(1)} KB gzipped`)
    expect(size).toBeLessThanOrEqual(limit)
  })
})
