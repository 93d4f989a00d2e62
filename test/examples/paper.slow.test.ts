// The claims of the paper run from start to end, at their smallest, and say something about each.

import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))

const kept = `${root}/out/paper/runs.jsonl`

/** The verdicts that the program prints. */
function verdictsOf(): string[] {
  const args = ['tsx', 'examples/paper/paper.ts', '--quick', '--keep', kept]
  const printed = execFileSync('npx', args, {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  return printed.trim().split('\n')
}

it('npm run paper -- --quick', () => {
  mkdirSync(`${root}/out/paper`, { recursive: true })
  rmSync(kept, { force: true })
  const verdicts = verdictsOf()
  expect(verdicts.length).toBe(11)
  for (const line of verdicts) {
    expect(line).toMatch(/^(holds|does not hold at this size|cannot be checked on a CPU): /)
  }
  // These are about the program, not about what a model learns.
  expect(verdicts).toContainEqual(expect.stringMatching(/^holds: The parameter formula/))
  expect(verdicts).toContainEqual(expect.stringMatching(/^holds: Amplification/))
  const page = readFileSync(`${root}/out/paper.md`, 'utf8')
  for (const figure of ['18.87 M', '37.7 MB', '37.75 MB', '21.5', '1.9', '32.6 %']) {
    expect(page).toContain(figure)
  }
  for (const name of ['rank', 'figure-3', 'figure-4']) {
    expect(page).toContain(`(paper/${name}.svg)`)
    expect(readFileSync(`${root}/out/paper/${name}.svg`, 'utf8')).toMatch(/^<svg /)
  }
  // With every run kept there is nothing to train, and all says the same but the times.
  const runs = readFileSync(kept, 'utf8')
  verdictsOf()
  const untimed = (text: string): string => text.replace(/## Latency[\s\S]*?##|\| Latency.*\|/g, '')
  expect(untimed(readFileSync(`${root}/out/paper.md`, 'utf8'))).toBe(untimed(page))
  expect(readFileSync(kept, 'utf8')).toBe(runs)
})
