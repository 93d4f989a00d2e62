// Every example in the documentation is run: the ```ts blocks of README.md, docs/guides and the
// comments of public names. Where a line ends in `console.log(…) // text`, it must print that text.
// A comment `<!-- prelude: … -->` above a block of Markdown is code that the reader need not see.

import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'

interface Example {
  readonly name: string
  readonly code: string
}

const root = fileURLToPath(new URL('../..', import.meta.url))
const folder = join(root, 'test/docs/generated')

const BLOCK = /(?:<!-- prelude:\n([\s\S]*?)-->\n+)?```ts\n([\s\S]*?)```/g

function blocksIn(file: string, text: string): Example[] {
  return [...text.matchAll(BLOCK)].map(([, prelude = '', code], i) => ({
    name: `${file} ${i + 1}`,
    code: prelude + code,
  }))
}

function filesIn(directory: string, ending: string): string[] {
  return readdirSync(join(root, directory), { recursive: true, encoding: 'utf8' })
    .filter(file => file.endsWith(ending))
    .map(file => join(directory, file))
    .sort()
}

const markdown = ['README.md', 'CONTRIBUTING.md', ...filesIn('docs/guides', '.md')].flatMap(file =>
  blocksIn(file, readFileSync(join(root, file), 'utf8')),
)
const comments = filesIn('src', '.ts').flatMap(file => {
  const text = readFileSync(join(root, file), 'utf8')
  const docs = text.match(/\/\*\*[\s\S]*?\*\//g) ?? []
  return docs.flatMap(doc => blocksIn(file, doc.replace(/^\s*\* ?/gm, '')))
})

/** What a line prints, without the spaces and lengths that differ between ways of printing. */
function plain(text: string): string {
  return text
    .replace(/\(\d+\)/g, '')
    .replace(/\s+/g, '')
    .replaceAll('"', "'")
}

function expectedLines(code: string): string[] {
  return [...code.matchAll(/console\.log\(.*\) \/\/ (.*)$/gm)].map(([, text]) => plain(text))
}

async function run(example: Example, file: string): Promise<string[]> {
  writeFileSync(file, `${example.code}\nexport {}\n`)
  const printed: string[] = []
  const log = vi.spyOn(console, 'log').mockImplementation((...values: unknown[]) => {
    printed.push(
      plain(values.map(v => (typeof v === 'string' ? v : inspect(v, { depth: 9 }))).join(' ')),
    )
  })
  const write = vi.spyOn(process.stdout, 'write').mockImplementation(() => true)
  const directory = process.cwd()
  try {
    await import(/* @vite-ignore */ file)
  } finally {
    process.chdir(directory)
    log.mockRestore()
    write.mockRestore()
  }
  return printed
}

beforeAll(() => mkdirSync(folder, { recursive: true }))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe.each([
  { where: 'Markdown', examples: markdown },
  { where: 'comments', examples: comments },
])('examples in $where', ({ where, examples }) => {
  it('exist', () => expect(examples.length).toBeGreaterThan(0))

  it.each(examples.map((example, i) => ({ ...example, i })))('$name', async ({ i, ...example }) => {
    const printed = await run(example, join(folder, `${where}-${i}.ts`))
    const expected = expectedLines(example.code)
    if (expected.length > 0) {
      expect(printed.filter(line => expected.includes(line)).length, printed.join('\n')).toBe(
        expected.length,
      )
    }
  })
})
