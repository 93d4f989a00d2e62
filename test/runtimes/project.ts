// An empty project with the package installed as a stranger would: packed, then installed from the
// tarball. Needs a build (`npm run build`).

import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** A path below this folder. */
export const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

const root = at('../..')

/** What `npm ci --prefix test/runtimes` installs, or the same in a folder of it. */
export const tool = (path: string, folder = '.'): string => at(`${folder}/node_modules/${path}`)

const npm = (args: readonly string[], cwd: string): string =>
  execFileSync('npm', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })

/** Packs what is in dist/; the path of the tarball. */
export function pack(folder: string): string {
  if (!existsSync(join(root, 'dist/index.js'))) {
    throw new Error('test/runtimes: dist/ is missing (npm run build)')
  }
  const made = npm(['pack', '--ignore-scripts', '--json', '--pack-destination', folder], root)
  const [{ filename }] = JSON.parse(made.slice(made.indexOf('['))) as { filename: string }[]
  return join(folder, filename)
}

export interface Project {
  readonly folder: string
  readonly tarball: string
  remove(): void
}

/** An empty project in a folder of its own, with the packed package and the suite. */
export function installedProject(): Project {
  const folder = mkdtempSync(join(tmpdir(), 'lowrank-installed-'))
  const tarball = pack(folder)
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }\n')
  npm(['install', tarball, '--ignore-scripts', '--no-audit', '--no-fund', '--offline'], folder)
  for (const file of ['suite.mjs', 'packages.mjs', 'main.mjs', 'worker.mjs', 'edge.mjs']) {
    cpSync(at(file), join(folder, file))
  }
  return { folder, tarball, remove: () => rmSync(folder, { recursive: true, force: true }) }
}
