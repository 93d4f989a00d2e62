// Imports go one way: core → linalg → ops → nn → optim → io → lora → analysis → models → train →
// node → cli. Nothing imports backends/ but tests, benches, the public backend entries, the command
// line where it lets its user choose one, and the one lazy edge `#kernels`.

import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const ORDER = [
  'core',
  'linalg',
  'ops',
  'nn',
  'optim',
  'io',
  'lora',
  'analysis',
  'models',
  'train',
  'tokenizer',
  'conformance',
  'node',
  'cli',
]

const source = fileURLToPath(new URL('../../src', import.meta.url))
const files = readdirSync(source, { recursive: true, encoding: 'utf8' })
  .filter(file => file.endsWith('.ts'))
  .map(file => join(source, file))

/** The modules a file imports at run time or for their types, as paths below src or bare names. */
function importsOf(file: string): string[] {
  const text = readFileSync(file, 'utf8').replace(/^\s*(\*|\/\/).*$/gm, '')
  const found = [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map(([, name]) => name)
  return found.map(name =>
    name.startsWith('.') ? relative(source, join(dirname(file), name)) : name,
  )
}

const folderOf = (path: string): string => path.split('/')[0]

it('has no folder without a place in the order', () => {
  const folders = new Set(files.map(file => relative(source, file)).filter(f => f.includes('/')))
  const strangers = [...folders].map(folderOf).filter(f => !ORDER.includes(f) && f !== 'backends')
  expect([...new Set(strangers)]).toEqual([])
})

it('imports one way only', () => {
  const wrong: string[] = []
  for (const file of files) {
    const path = relative(source, file)
    const from = ORDER.indexOf(folderOf(path))
    for (const target of importsOf(file)) {
      const to = ORDER.indexOf(folderOf(target))
      if (from >= 0 && to > from) {
        wrong.push(`${path} imports ${target}`)
      }
      const entry = from === ORDER.indexOf('cli') && /^backends\/\w+\/index\.ts$/.test(target)
      if (from >= 0 && folderOf(target) === 'backends' && !entry) {
        wrong.push(`${path} imports ${target}`)
      }
    }
  }
  expect(wrong).toEqual([])
})

it('reaches the default backend from one file only', () => {
  const reaching = files.filter(file => importsOf(file).includes('#kernels'))
  expect(reaching.map(file => relative(source, file))).toEqual(['core/backend.ts'])
})

it('imports Node only where it is needed', () => {
  const users = files.filter(file => importsOf(file).some(name => name.startsWith('node:')))
  const folders = new Set(users.map(file => folderOf(relative(source, file))))
  expect([...folders].filter(folder => folder !== 'node' && folder !== 'cli')).toEqual([])
})

it('depends on nothing at run time but what is bundled', () => {
  const bare = files.flatMap(file =>
    importsOf(file)
      .filter(name => /^[@a-z]/.test(name) && !name.startsWith('node:'))
      .map(name => ({ name, folder: folderOf(relative(source, file)) })),
  )
  const known = bare.filter(({ name }) => !name.includes('/') || name.startsWith('@'))
  const outside = known.filter(({ folder }) => folder !== 'cli' && folder !== 'tokenizer')
  expect(outside.filter(({ name }) => !ORDER.includes(name) && name !== 'index.ts')).toEqual([])
})

it('uses no inexact Math function', () => {
  const inexact =
    /\bMath\.(exp|expm1|log|log1p|log2|log10|pow|sin|cos|tan|tanh|sinh|cosh|asin|acos|atan|atan2|hypot|cbrt|asinh|acosh|atanh)\b|[^*/]\*\*[^*/]/
  // The text of a binary may hold anything.
  const written = files.filter(file => !file.includes('/binaries/'))
  const wrong = written.filter(file => {
    const code = readFileSync(file, 'utf8')
      .replace(/\/\*[\s\S]*?\*\//g, '')
      .replace(/\/\/.*$/gm, '')
    return inexact.test(code)
  })
  expect(wrong.map(file => relative(source, file))).toEqual([])
})
