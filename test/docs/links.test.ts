// Relative links in the documentation lead somewhere.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const files = readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
  .filter(file => file.endsWith('.md'))
  .map(file => join('docs', file))
  .concat('README.md', 'CONTRIBUTING.md')

it.each(files)('%s', file => {
  const text = readFileSync(join(root, file), 'utf8')
  const targets = [...text.matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)].map(([, target]) => target)
  const broken = targets.filter(
    target => !/^[a-z]+:/.test(target) && !existsSync(join(root, dirname(file), target)),
  )
  expect(broken).toEqual([])
})
