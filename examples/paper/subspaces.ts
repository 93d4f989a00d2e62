// Figure 3: do ranks 8 and 64 learn the same directions? Figure 4: do two seeds? Table 7: what does the
// update amplify?

import { subspaceSimilarities } from 'lowrank/analysis'
import { similarityChart } from './charts.ts'
import { type Claim, mean, summary, verdictOf } from './claim.ts'
import type { AdaptedLayer, Runs, Trained } from './runs.ts'

const SHOWN = 8

type Table = readonly (readonly number[])[]

function averaged(tables: readonly Table[]): number[][] {
  return tables[0].map((row, i) => row.map((_, j) => mean(tables.map(table => table[i]?.[j] ?? 0))))
}

const ending = (layers: readonly AdaptedLayer[], suffix: string): AdaptedLayer[] =>
  layers.filter(({ path }) => path.endsWith(suffix))

/** φ averaged over the layers of one kind, and the random baseline. */
async function similarity(a: Trained, b: Trained, suffix: string, most: number) {
  const first = ending(a.layers, suffix)
  const second = ending(b.layers, suffix)
  const found = []
  for (const [i, { A }] of first.entries()) {
    found.push(await subspaceSimilarities(A, second[i].A, most))
  }
  return { phi: averaged(found.map(f => f.similarity)), random: averaged(found.map(f => f.random)) }
}

function at(table: Table, i: number, j: number): number {
  return table[Math.min(i, table.length) - 1][Math.min(j, table[0].length) - 1]
}

/** φ of the same seed at two ranks, averaged over layers and seeds, and the random baseline. */
async function betweenRanks(runs: Runs, suffix: string, ranks: readonly [number, number]) {
  const found = []
  for (const seed of runs.seeds) {
    const [a, b] = [
      await runs.one({ weights: ['q', 'v'], r: ranks[0] }, seed),
      await runs.one({ weights: ['q', 'v'], r: ranks[1] }, seed),
    ]
    found.push(await similarity(a, b, suffix, SHOWN))
  }
  return { phi: averaged(found.map(f => f.phi)), random: found[0].random }
}

export async function acrossRanks(runs: Runs): Promise<Claim> {
  const [small, large] = [8, runs.size.ranks[runs.size.ranks.length - 1]]
  const q = await betweenRanks(runs, 'q_proj', [small, large])
  const v = await betweenRanks(runs, 'v_proj', [small, large])
  const holds = [q, v].map(
    ({ phi }) => at(phi, 1, 1) > 0.5 && at(phi, 1, 1) > at(phi, small, small),
  )
  const said = (ok: boolean): string => (ok ? 'it does' : 'it does not')
  const points = [1, 2, 4, 8].map(i => [
    i,
    ...[q.phi, v.phi, v.random].map(table => at(table, i, i).toFixed(2)),
  ])
  return {
    title: `Subspaces of two ranks (Figure 3): r = ${small} and r = ${large}`,
    says: 'The top direction is shared between a small and a large rank (φ above 0.5), other directions are less so.',
    verdict: verdictOf(holds[0] && holds[1]),
    because:
      `Holds if φ(1, 1) is above 0.5 and above φ(8, 8) for W_q (${said(holds[0])}) and for W_v (${said(holds[1])}). ` +
      'Same seed, mean over layers and seeds.',
    table: [['i = j', 'φ of W_q', 'φ of W_v', 'random subspaces'], ...points],
    picture: {
      name: 'figure-3',
      label: 'φ of the first directions of two ranks, and of random subspaces',
      svg: similarityChart(['measured, W_v', 'random'], [v.phi, v.random]),
    },
  }
}

export async function acrossSeeds(runs: Runs): Promise<Claim> {
  const r = runs.size.ranks[runs.size.ranks.length - 1]
  const trained = await runs.all({ weights: ['q', 'v'], r })
  const rows: (string | number)[][] = []
  const means: Record<string, number> = {}
  let shown: [Table, Table] = [[[0]], [[0]]]
  for (const suffix of ['q_proj', 'v_proj']) {
    const found = []
    for (let i = 1; i < trained.length; i++) {
      found.push(await similarity(trained[0], trained[i], suffix, SHOWN))
    }
    const phi = averaged(found.map(f => f.phi))
    means[suffix] = at(phi, 4, 4) / at(found[0].random, 4, 4)
    rows.push([
      suffix,
      at(phi, 1, 1).toFixed(3),
      at(phi, 4, 4).toFixed(3),
      at(found[0].random, 4, 4).toFixed(3),
    ])
    shown = suffix === 'v_proj' ? shown : [phi, found[0].random]
  }
  const common = means.q_proj > 2 && means.v_proj > 2
  const more = means.q_proj > means.v_proj
  return {
    title: `Subspaces of two seeds (Figure 4): r = ${r}`,
    says: 'Two seeds find common directions that random matrices do not have, more of them in W_q than in W_v.',
    verdict: verdictOf(common && more),
    because:
      'Holds if φ(4, 4) is more than twice that of random subspaces for both ' +
      `(it is${common ? '' : ' not'}), and larger for W_q (it is${more ? '' : ' not'}).`,
    table: [['weights', 'φ(1, 1)', 'φ(4, 4)', 'random (4, 4)'], ...rows],
    picture: {
      name: 'figure-4',
      label: 'φ of the first directions of two seeds, and of random subspaces',
      svg: similarityChart(['measured, W_q', 'random'], shown),
    },
  }
}

/** What the paper measures on layer 48 of GPT-3, by rank: ‖ΔW‖, ‖UᵀWV‖ and the factor it states. */
const OF_GPT3: Readonly<Record<number, readonly string[]>> = {
  4: ['6.91', '0.32', '21.5'],
  64: ['3.57', '1.90', '1.9'],
}

export async function amplified(runs: Runs): Promise<Claim> {
  const { ranks } = runs.size
  const factors: number[][] = []
  const rows: (string | number)[][] = []
  for (const r of [4, ranks[ranks.length - 1]]) {
    const trained = await runs.all({ weights: ['q', 'v'], r })
    const [delta, projected, factor] = (['deltaNorm', 'projectedNorm', 'factor'] as const).map(
      key =>
        trained.map(({ layers }) =>
          mean(ending(layers, 'q_proj').map(({ amplification }) => amplification[key])),
        ),
    )
    factors.push(factor)
    rows.push([r, summary(delta), summary(projected), summary(factor), OF_GPT3[r].join(' / ')])
  }
  return {
    title: 'Amplification (Table 7)',
    says:
      'ΔW_q amplifies directions that W_q does not emphasize, the more the smaller the rank: 21.5 for r = 4, 1.9 for ' +
      'r = 64, on layer 48 of GPT-3.',
    verdict: verdictOf(mean(factors[0]) > mean(factors[1]) && mean(factors[0]) > 1),
    because:
      'Holds if the mean factor is above 1 for r = 4 and falls with the rank. W_q has 128 directions here and 12,288 in ' +
      'GPT-3: 64 of them are half of what there is, so a factor below 1 is no surprise.',
    table: [['r', '‖ΔW_q‖', '‖UᵀW_qV‖', 'factor, mean over layers', 'in the paper'], ...rows],
  }
}
