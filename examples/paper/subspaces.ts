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

export async function acrossRanks(runs: Runs): Promise<Claim> {
  const [small, large] = [8, runs.size.ranks[runs.size.ranks.length - 1]]
  const phis: Table[] = []
  let random: Table = [[0]]
  for (const seed of runs.seeds) {
    const a = await runs.one({ weights: ['q', 'v'], r: small }, seed)
    const b = await runs.one({ weights: ['q', 'v'], r: large }, seed)
    const found = await similarity(a, b, 'v_proj', SHOWN)
    phis.push(found.phi)
    random = found.random
  }
  const phi = averaged(phis)
  const points = [1, 2, 4, 8].map(i => [i, at(phi, i, i).toFixed(2), at(random, i, i).toFixed(2)])
  return {
    title: `Subspaces of two ranks (Figure 3): r = ${small} and r = ${large}`,
    says: 'The top direction is shared between a small and a large rank (φ above 0.5), other directions are less so.',
    verdict: verdictOf(at(phi, 1, 1) > 0.5 && at(phi, 1, 1) > at(phi, small, small)),
    because:
      'Holds if φ(1, 1) of W_v is above 0.5 and above φ(8, 8). Same seed, mean over layers and seeds.',
    table: [['i = j', 'φ', 'random subspaces'], ...points],
    picture: {
      name: 'figure-3',
      label: 'φ of the first directions of two ranks, and of random subspaces',
      svg: similarityChart(['measured, W_v', 'random'], [phi, random]),
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

export async function amplified(runs: Runs): Promise<Claim> {
  const { ranks } = runs.size
  const chosen = [4, ranks[ranks.length - 1]]
  const factors: number[][] = []
  for (const r of chosen) {
    const trained = await runs.all({ weights: ['q', 'v'], r })
    factors.push(
      trained.map(({ layers }) =>
        mean(ending(layers, 'q_proj').map(({ amplification }) => amplification)),
      ),
    )
  }
  return {
    title: 'Amplification (Table 7)',
    says:
      'ΔW_q amplifies directions that W_q does not emphasize, the more the smaller the rank: 21.5 for r = 4, 1.9 for ' +
      'r = 64, on layer 48 of GPT-3.',
    verdict: verdictOf(mean(factors[0]) > mean(factors[1]) && mean(factors[0]) > 1),
    because: 'Holds if the mean factor is above 1 for r = 4 and falls with the rank.',
    table: [
      ['r', '‖ΔW‖ / ‖UᵀWV‖ of W_q, mean over layers', 'in the paper'],
      [chosen[0], summary(factors[0]), '21.5'],
      [chosen[1], summary(factors[1]), '1.9'],
    ],
  }
}
