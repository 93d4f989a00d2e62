// The claims of LoRA (Hu et al. 2021, arXiv 2106.09685), each checked as far as a small model on a CPU
// can, with a verdict. Writes a page and its pictures.
//
//   npm run paper                         5 seeds; writes docs/paper.md and docs/paper/*.svg
//   npm run paper -- --quick              2 seeds, few examples; writes out/paper/
//   npm run paper -- --epochs 2 --examples 200
//   npm run paper -- --keep out/runs.jsonl    goes on with the runs in the file

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Claim } from './claim.ts'
import { Runs, type Size } from './runs.ts'
import { latency, parameterFormula, uncheckable } from './sizes.ts'
import { acrossRanks, acrossSeeds, amplified } from './subspaces.ts'
import { whichRank, whichWeights } from './weights.ts'

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    seeds: { type: 'string' },
    epochs: { type: 'string' },
    examples: { type: 'string' },
    keep: { type: 'string' },
  },
})

const QUICK: Size = { seeds: 2, epochs: 1, examples: 48, heldOut: 24, ranks: [1, 4, 8, 64] }
const FULL: Size = { seeds: 5, epochs: 4, examples: 600, heldOut: 120, ranks: [1, 2, 4, 8, 64] }

const size: Size = {
  ...(values.quick ? QUICK : FULL),
  ...(values.seeds && { seeds: Number(values.seeds) }),
  ...(values.epochs && { epochs: Number(values.epochs) }),
  ...(values.examples && { examples: Number(values.examples) }),
}
const home = values.quick ? 'out' : 'docs'
const chosen = (['seeds', 'epochs', 'examples'] as const).flatMap(name =>
  values[name] === undefined ? [] : [`--${name}`, values[name]],
)
const flags = [...(values.quick ? ['--quick'] : []), ...chosen]
const command = ['npm run paper', ...(flags.length > 0 ? ['--', ...flags] : [])]

function table(rows: Claim['table']): string[] {
  if (rows.length === 0) {
    return []
  }
  const [head, ...body] = rows.map(row => `| ${row.join(' | ')} |`)
  return [head, `|${'---|'.repeat(rows[0].length)}`, ...body, '']
}

function section(claim: Claim): string[] {
  const { picture } = claim
  return [
    `## ${claim.title}`,
    '',
    `The paper: ${claim.says}`,
    '',
    `**${claim.verdict[0].toUpperCase()}${claim.verdict.slice(1)}.** ${claim.because}`,
    '',
    ...table(claim.table),
    ...(picture ? [`![${picture.label}](paper/${picture.name}.svg)`, ''] : []),
  ]
}

function page(claims: readonly Claim[]): string {
  const { seeds, epochs, examples, heldOut } = size
  const lines = [
    '# The claims of the paper, run small',
    '',
    `Written by \`${command.join(' ')}\`: ${seeds} seeds, ${epochs} passes over ${examples} commands of the household task, judged by the`,
    `mean loss per token of ${heldOut} held-out ones, on the bundled model (four layers of width 128). A figure is a mean over the`,
    'seeds ± its standard error. The model has less than a million parameters, those of the paper have 125 million to 175 billion: a claim',
    'that does not hold here may well hold there, and the other way round.',
    '',
    ...table([['claim', 'verdict'], ...claims.map(({ title, verdict }) => [title, verdict])]),
    ...claims.flatMap(section),
  ]
  return `${lines.join('\n').trimEnd()}\n`
}

const runs = await Runs.of(size, values.keep)
const claims = [
  ...(await whichWeights(runs)),
  ...(await whichRank(runs)),
  await acrossRanks(runs),
  await acrossSeeds(runs),
  await amplified(runs),
  await parameterFormula(),
  await latency(),
  ...uncheckable,
]
mkdirSync(join(home, 'paper'), { recursive: true })
for (const { picture } of claims) {
  if (picture) {
    writeFileSync(join(home, 'paper', `${picture.name}.svg`), `${picture.svg}\n`)
  }
}
writeFileSync(join(home, 'paper.md'), page(claims))
for (const { title, verdict } of claims) {
  console.log(`${verdict}: ${title}`)
}
