// Table 5: which weights to adapt under one budget of parameters. Tables 6 and 18: which rank.

import { rankChart } from './charts.ts'
import { type Claim, mean, standardError, summary, verdictOf } from './claim.ts'
import type { Adapted, Runs } from './runs.ts'

const CHOICES: readonly Adapted[] = [
  { weights: ['q'], r: 8 },
  { weights: ['k'], r: 8 },
  { weights: ['v'], r: 8 },
  { weights: ['o'], r: 8 },
  { weights: ['q', 'k'], r: 4 },
  { weights: ['q', 'v'], r: 4 },
  { weights: ['q', 'k', 'v', 'o'], r: 2 },
]

type Losses = ReadonlyMap<string, readonly number[]>

const nameOf = ({ weights }: Adapted): string => weights.map(w => `W_${w}`).join(', ')

/** Held-out losses of every choice, by its name, and the rows of the table. */
async function compared(runs: Runs): Promise<{ losses: Losses; rows: (string | number)[][] }> {
  const losses = new Map<string, readonly number[]>()
  const rows: (string | number)[][] = []
  for (const choice of CHOICES) {
    const trained = await runs.all(choice)
    const measured = trained.map(({ loss }) => loss)
    losses.set(nameOf(choice), measured)
    rows.push([nameOf(choice), choice.r, trained[0].trainable, summary(measured)])
  }
  return { losses, rows }
}

const said = (holds: boolean): string => (holds ? 'it is' : 'it is not')

export async function whichWeights(runs: Runs): Promise<readonly Claim[]> {
  const { losses, rows } = await compared(runs)
  const loss = (name: string): number => mean(losses.get(name) as readonly number[])
  const single = Math.min(...['W_q', 'W_k', 'W_v', 'W_o'].map(loss))
  const [pair, all] = [loss('W_q, W_v'), loss('W_q, W_k, W_v, W_o')]
  return [
    {
      title: 'Queries or keys alone (Table 5)',
      says: 'Under one budget, W_q or W_k alone is clearly worse than W_q and W_v together.',
      verdict: verdictOf(pair < loss('W_q') && pair < loss('W_k')),
      because:
        'Holds if the mean held-out loss of W_q, W_v is below both. (Keys and values have half the heads here, ' +
        'so their matrices are smaller and the budgets are not quite equal.)',
      table: [['adapted', 'r', 'parameters', 'held-out loss'], ...rows],
    },
    {
      title: 'More kinds of weights at a smaller rank (Table 5)',
      says: 'W_q and W_v at half the rank, and all four at a quarter, are the best two: better than any kind alone.',
      verdict: verdictOf(Math.max(pair, all) < single),
      because:
        `Holds if the mean held-out loss of all four (${said(all < single)}) and that of W_q, W_v ` +
        `(${said(pair < single)}) are below the best kind alone, in the table above.`,
      table: [],
    },
  ]
}

/** Seed by seed: the mean difference is below zero, or within two of its standard errors. */
function asGood(small: readonly number[], large: readonly number[]): boolean {
  const differences = small.map((loss, i) => loss - large[i])
  return mean(differences) <= 2 * standardError(differences)
}

export async function whichRank(runs: Runs): Promise<readonly Claim[]> {
  const { ranks } = runs.size
  const sets: readonly Adapted['weights'][] = [['q'], ['q', 'v'], ['q', 'k', 'v', 'o']]
  const rows: (string | number)[][] = []
  const lines: { name: string; values: number[] }[] = []
  const all = new Map<string, readonly number[]>()
  for (const weights of sets) {
    const name = nameOf({ weights, r: 0 })
    const cells: string[] = []
    const values: number[] = []
    for (const r of ranks) {
      const losses = (await runs.all({ weights, r })).map(({ loss }) => loss)
      all.set(`${name} ${r}`, losses)
      cells.push(summary(losses))
      values.push(mean(losses))
    }
    rows.push([name, ...cells])
    lines.push({ name, values })
  }
  const large = ranks[ranks.length - 1]
  const of = (name: string, r: number): readonly number[] =>
    all.get(`${name} ${r}`) as readonly number[]
  const enough = (name: string, r: number): boolean => asGood(of(name, r), of(name, large))
  const both = enough('W_q, W_v', 1)
  const alone = enough('W_q', 1)
  const meaning = 'the mean difference, seed by seed, is at most two of its standard errors.'
  return [
    {
      title: 'A rank of one (Table 6)',
      says: 'A rank as small as one is enough for W_q and W_v, while W_q alone needs a larger one.',
      verdict: verdictOf(both && !alone),
      because:
        `Holds if r = 1 is as good as r = ${large} on W_q, W_v (${said(both)}) and not on W_q alone ` +
        `(${said(alone)}). As good: ${meaning}`,
      table: [['adapted', ...ranks.map(r => `r = ${r}`)], ...rows],
      picture: {
        name: 'rank',
        label: 'Held-out loss over rank, for three choices of weights',
        svg: rankChart(ranks, lines),
      },
    },
    {
      title: 'A rank of eight (Tables 6 and 18)',
      says: 'The loss falls up to a rank between 4 and 16; larger ones gain nothing.',
      verdict: verdictOf(enough('W_q, W_v', 8)),
      because: `Holds if r = 8 on W_q, W_v is as good as r = ${large}: ${meaning} The table is above.`,
      table: [],
    },
  ]
}
