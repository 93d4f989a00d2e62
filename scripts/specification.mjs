// Writes docs/specification.md from the sources: for every op, layer, LoRA part and optimizer the header of
// its file (formula, shapes, gradients, source), its signature, its documentation, the shapes that are
// checked when it runs, and the stored cases that pin it. Nothing on that page is typed twice.
//
//   node scripts/specification.mjs           writes it
//   node scripts/specification.mjs --check   fails if it is not what the sources say

import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const root = fileURLToPath(new URL('..', import.meta.url))
const page = join(root, 'docs/specification.md')
const read = path => readFileSync(join(root, path), 'utf8')

function parse(path) {
  return ts.createSourceFile(path, read(path), ts.ScriptTarget.Latest, true)
}

/** The comment lines at the head of a file, without their slashes. */
function headerOf(path) {
  const lines = read(path).split('\n')
  const end = lines.findIndex(line => !line.startsWith('//'))
  return lines.slice(0, end).map(line => line.replace(/^\/\/ ?/, ''))
}

/** The names of an index file that are no types, by the file they come from. */
function exportsOf(index) {
  const folder = index.slice(0, index.lastIndexOf('/'))
  const found = new Map()
  for (const statement of parse(index).statements) {
    if (!ts.isExportDeclaration(statement) || statement.isTypeOnly || !statement.exportClause) {
      continue
    }
    const path = join(folder, statement.moduleSpecifier.text)
    const names = statement.exportClause.elements
      .filter(element => !element.isTypeOnly)
      .map(element => element.name.text)
    found.set(path, [...(found.get(path) ?? []), ...names])
  }
  return found
}

const nameOf = statement => statement.name?.text

function documentationOf(statement) {
  const [doc] = statement.jsDoc ?? []
  const comment = ts.getTextOfJSDocComment(doc?.comment) ?? ''
  return comment.replace(/\s*\n\s*/g, ' ').trim()
}

/** A declaration up to its body, an overload as a whole. */
function signatureOf(statement) {
  const body = statement.body ? statement.body.pos : (statement.members?.pos ?? statement.end)
  const text = statement.getText().slice(0, body - statement.getStart())
  const made = statement.members?.find(ts.isConstructorDeclaration)
  const parameters = made?.parameters.map(parameter => parameter.getText()).join(', ')
  const more = parameters === undefined ? '' : `\nconstructor(${parameters})`
  return `${text
    .replace(/\{\s*$/, '')
    .replace(/^export /, '')
    .trim()}${more}`
}

/** The functions and classes of a file by name, with their overloads; the first is documented. */
function declarationsOf(path) {
  const found = new Map()
  for (const statement of parse(path).statements) {
    const name = nameOf(statement)
    if (
      name !== undefined &&
      (ts.isFunctionDeclaration(statement) || ts.isClassDeclaration(statement))
    ) {
      found.set(name, [...(found.get(name) ?? []), statement])
    }
  }
  return found
}

/** The shapes that `dims` checks, in their order. */
function shapesOf(path) {
  const calls = [...read(path).matchAll(/dims\(\s*'([^']+)',\s*[\w.]+,\s*'([^']+)'/g)]
  return calls.map(
    ([, where, letters]) => `${where.replace(/^.*: /, '')} [${letters.replace(/ /g, ', ')}]`,
  )
}

const CALLS = ['elementwise', 'reductions', 'transformer'].map(
  name => `src/conformance/ops/${name}.ts`,
)

/** case op -> the functions that its call is made of. */
function callTable() {
  const table = new Map()
  for (const path of CALLS) {
    const source = parse(path)
    const functions = new Map(
      source.statements.filter(ts.isFunctionDeclaration).map(f => [f.name.text, f.getText()]),
    )
    const visit = node => {
      if (ts.isPropertyAssignment(node) && node.parent.parent.name?.text?.endsWith('Calls')) {
        const text = node.initializer.getText()
        table.set(node.name.getText(), functions.get(text) ?? text)
      }
      ts.forEachChild(node, visit)
    }
    visit(source)
  }
  return table
}

const GOLDEN = ['test/golden', 'conformance']

/** The stored cases of a family: name and JSON. */
function casesOf(family) {
  return GOLDEN.flatMap(home => {
    const folder = `${home}/${family}`
    if (!existsSync(join(root, folder))) {
      return []
    }
    const names = readdirSync(join(root, folder)).filter(name => name.endsWith('.json'))
    return names.sort().map(name => ({
      name: basename(name, '.json'),
      json: JSON.parse(read(`${folder}/${name}`)),
    }))
  })
}

const calls = callTable()
const opCases = casesOf('ops')
const optimCases = casesOf('optim')
const layerCases = casesOf('layers')

function pinsOfOp(name) {
  const ops = [...calls].filter(([, text]) => new RegExp(`\\b${name}\\(`).test(text))
  const known = new Set(ops.map(([op]) => op))
  const kinds = { cast: ['cast'], dropout: ['dropout'] }[name] ?? []
  const own = opCases.filter(({ json }) => known.has(json.op) || kinds.includes(json.kind))
  const random = name === 'dropout' ? casesOf('random').filter(c => c.json.kind === 'dropout') : []
  const pins = [...own.map(c => `ops/${c.name}`), ...random.map(c => `random/${c.name}`)]
  return pins.length > 0 ? pins : [`fingerprint.json: op ${name}`]
}

const KINDS = { Linear: 'linear', Conv1D: 'conv1d', Conv2d: 'conv2d', Embedding: 'embedding' }

function pinsOfLayer(name) {
  return layerCases.filter(({ json }) => json.kind === KINDS[name]).map(c => `layers/${c.name}`)
}

function pinsOfOptimizer(name) {
  const own = optimCases.filter(({ json }) => json.optimizer?.split('.').at(-1) === name)
  const hf = optimCases.filter(({ json }) => json.optimizer === 'transformers.Adafactor')
  const found = name === 'TransformersAdafactor' ? hf : own.filter(c => !hf.includes(c))
  const others = {
    clipGradNorm: /^clip_/,
    loraPlusGroups: /^loraplus_/,
    getSchedule: /^schedules$/,
  }
  const more = optimCases.filter(c => others[name]?.test(c.name))
  return [...found, ...more].map(c => `optim/${c.name}`)
}

/** A file's section: header, then every public name in it. */
function section(path, names, pinsOf) {
  const declared = declarationsOf(path)
  const title =
    names.length > 0 ? names.map(name => `\`${name}\``).join(', ') : `\`${basename(path, '.ts')}\``
  const lines = [`### ${title}`, '', '```text', ...headerOf(path), '```', '']
  for (const name of names) {
    const statements = declared.get(name) ?? []
    if (statements.length > 0) {
      const overloads = statements.length > 1 ? statements.filter(s => !s.body) : statements
      const signatures = overloads.map(signatureOf)
      lines.push('```ts', ...signatures, '```', '', documentationOf(statements[0]), '')
    }
  }
  const shapes = shapesOf(path)
  if (shapes.length > 0) {
    lines.push(`Shapes checked: ${[...new Set(shapes)].map(s => `\`${s}\``).join(', ')}.`, '')
  }
  const pins = [...new Set(names.flatMap(pinsOf))]
  if (pins.length > 0) {
    lines.push(`Pinned by ${pins.map(pin => `\`${pin}\``).join(', ')}.`, '')
  }
  lines.push(`Source: [${path}](../${path})`, '')
  return lines
}

function problemsOf(path, names) {
  const declared = declarationsOf(path)
  const missing = names.filter(
    name => declared.has(name) && documentationOf(declared.get(name)[0]) === '',
  )
  const header = headerOf(path).length === 0 ? [`${path}: no header`] : []
  return [...header, ...missing.map(name => `${path}: ${name} has no documentation`)]
}

const problems = []

function chapter(title, text, index, pinsOf, keep = () => true) {
  const lines = [`## ${title}`, '', text, '']
  for (const [path, all] of [...exportsOf(index)].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const names = all.filter(name => !name.endsWith('Op') && keep(name))
    if (names.length > 0) {
      lines.push(...section(path, names, pinsOf))
      problems.push(...problemsOf(path, names))
    }
  }
  return lines
}

/** A chapter of whole files: what they are about stands in their headers. */
function files(title, text, folders) {
  const paths = folders.flatMap(folder =>
    folder.endsWith('.ts')
      ? [folder]
      : readdirSync(join(root, folder))
          .sort()
          .filter(f => f.endsWith('.ts') && f !== 'index.ts')
          .map(f => `${folder}/${f}`),
  )
  return [`## ${title}`, '', text, '', ...paths.flatMap(path => section(path, [], () => []))]
}

const lines = [
  '# Specification',
  '',
  'What this library computes: formula, shapes, gradients, edge cases and source of every op, layer, LoRA part and optimizer, from the',
  'sources themselves (`npm run specification`). Where a formula and a program disagree, the loops of the reference backend decide: they',
  'stand in the same file, in float64, written as the formula is, and `npx lowrank verify test/golden --backend reference` compares them with',
  'PyTorch, PEFT and transformers. The names of stored cases say which edge is pinned: `_row_masked`, `_all_ignored`, `_ties`, `_empty`,',
  '`_inner_zero`, `_width_one`.',
  '',
  'Letters: B batch, T tokens, C width, H heads, D head size, V vocabulary, I in, O out, R rank. The gradient of `x` is `dx`.',
  '',
  ...chapter(
    'Ops',
    'Every op has a sample whose gradients are checked against differences to seven digits.',
    'src/ops/index.ts',
    pinsOfOp,
  ),
  ...chapter('Layers', 'Modules and their tables.', 'src/nn/index.ts', pinsOfLayer),
  ...files(
    'LoRA',
    'Wrapping, variants, initialisation and combination; stored cases: families `layers`, `init` and `merge`.',
    [
      'src/lora/module.ts',
      'src/lora/merged.ts',
      ...['src/lora/variants', 'src/lora/init', 'src/lora/combine'].filter(f =>
        existsSync(join(root, f)),
      ),
    ],
  ),
  ...chapter(
    'Optimizers',
    'Optimizers, clipping and schedules.',
    'src/optim/index.ts',
    pinsOfOptimizer,
  ),
]

if (problems.length > 0) {
  console.error(problems.join('\n'))
  process.exit(1)
}
const text = `${lines
  .join('\n')
  .replace(/\n{3,}/g, '\n\n')
  .trimEnd()}\n`
if (!process.argv.includes('--check')) {
  writeFileSync(page, text)
} else if (!existsSync(page) || readFileSync(page, 'utf8') !== text) {
  console.error('docs/specification.md is not what the sources say (npm run specification)')
  process.exit(1)
}
