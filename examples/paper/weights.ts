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

const nameOf = ({ weights }: Adapted): string => weights.map(w => `W_${w}`).join(', ')

export async function whichWeights(runs: Runs): Promise<Claim> {
  const measured = new Map<string, readonly number[]>()
  const rows: (string | number)[][] = []
  for (const choice of CHOICES) {
    const trained = await runs.all(choice)
    const losses = trained.map(({ loss }) => loss)
    measured.set(nameOf(choice), losses)
    rows.push([nameOf(choice), choice.r, trained[0].trainable, summary(losses)])
  }
  const loss = (name: string): number => mean(measured.get(name) as readonly number[])
  const qv = loss('W_q, W_v')
  return {
    title: 'Which weights (Table 5)',
    says: 'Under one budget, adapting W_q and W_v together is better than W_q or W_k alone at twice the rank.',
    verdict: verdictOf(qv < loss('W_q') && qv < loss('W_k')),
    because:
      'Holds if the mean held-out loss of W_q, W_v is below both. (Keys and values have half the heads here, ' +
      'so their matrices are smaller and the budgets are not quite equal.)',
    table: [['adapted', 'r', 'parameters', 'held-out loss'], ...rows],
  }
}

export async function whichRank(runs: Runs): Promise<Claim> {
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
  const of = (r: number): readonly number[] => all.get(`W_q, W_v ${r}`) as readonly number[]
  const [small, large] = [ranks[Math.min(2, ranks.length - 2)], ranks[ranks.length - 1]]
  const slack = 2 * Math.max(standardError(of(small)), standardError(of(large)))
  return {
    title: 'Which rank (Tables 6 and 18)',
    says: 'A rank as small as one to four is enough for W_q and W_v; larger ranks gain little or nothing.',
    verdict: verdictOf(mean(of(small)) <= mean(of(large)) + slack),
    because: `Holds if r = ${small} on W_q, W_v is within two standard errors of r = ${large}, or better.`,
    table: [['adapted', ...ranks.map(r => `r = ${r}`)], ...rows],
    picture: {
      name: 'rank',
      label: 'Held-out loss over rank, for three choices of weights',
      svg: rankChart(ranks, lines),
    },
  }
}
