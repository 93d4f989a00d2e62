// The examples for Node, Deno, Bun and a page without a bundler say the same, number for number; the
// serverless handler answers, learns, and says what it was not given.

import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CHROMIUM, launchChromium, resultOf } from '../runtimes/browsers.ts'
import { installedProject, type Project, tool } from '../runtimes/project.ts'

const examples = fileURLToPath(new URL('../../examples', import.meta.url))
const source = (path: string): string => readFileSync(join(examples, path), 'utf8')

/** All but the line that says how to run it. */
const program = (path: string): string => source(path).replace(/^\/\/ {3}.*$/m, '')

const CONSOLES = [
  { name: 'node', command: process.execPath, args: [] },
  { name: 'deno', command: tool('.bin/deno'), args: ['run', '--allow-env'] },
  { name: 'bun', command: tool('.bin/bun'), args: [] },
]

describe('examples', () => {
  let project: Project
  let want: string
  const run = (command: string, args: readonly string[], folder: string): string =>
    execFileSync(command, [...args], { cwd: join(project.folder, folder), encoding: 'utf8' })

  beforeAll(() => {
    project = installedProject()
    for (const folder of ['node', 'deno', 'bun', 'browser', 'lambda']) {
      cpSync(join(examples, folder), join(project.folder, folder), { recursive: true })
    }
    want = run(process.execPath, ['main.mjs'], 'node')
  })

  afterAll(() => project?.remove())

  it('learn', () => {
    const losses = [...want.matchAll(/loss ([\d.]+)/g)].map(([, loss]) => Number(loss))
    expect(losses.length).toBe(3)
    expect(losses[2]).toBeLessThan(losses[0])
    expect(want).toMatch(/adapter: \d+ bytes/)
  })

  for (const { name, command, args } of CONSOLES) {
    it.skipIf(!existsSync(command))(`say the same in ${name}`, () => {
      expect(program(`${name}/main.mjs`)).toBe(program('node/main.mjs'))
      expect(run(command, [...args, 'main.mjs'], name)).toBe(want)
    })
  }

  it.skipIf(!existsSync(CHROMIUM))('say the same on a page', async () => {
    expect(program('browser/main.mjs')).toBe(program('node/main.mjs'))
    cpSync(join(project.folder, 'node_modules'), join(project.folder, 'browser/node_modules'), {
      recursive: true,
    })
    const types: Readonly<Record<string, string>> = { '.html': 'text/html' }
    const server = createServer((request, response) => {
      const path = join(project.folder, 'browser', request.url as string)
      if (!existsSync(path)) {
        response.writeHead(404).end()
        return
      }
      response.writeHead(200, { 'Content-Type': types[extname(path)] ?? 'text/javascript' })
      response.end(readFileSync(path))
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { port: number }
    const browser = await launchChromium()
    try {
      expect(await resultOf(browser, `http://127.0.0.1:${port}/index.html`)).toBe(want)
    } finally {
      await browser.close()
      server.closeAllConnections()
      server.close()
    }
  })

  it('answer as a serverless handler, cold and warm', () => {
    const out = run(process.execPath, ['cold-start.mjs'], 'lambda')
    console.log(`cold start, ms: ${out.trim()}`)
    const times = JSON.parse(out) as Record<'status' | 'import' | 'first' | 'second', number>
    expect(times.status).toBe(200)
    expect(times.second).toBeLessThan(times.import + times.first)
  })
})
