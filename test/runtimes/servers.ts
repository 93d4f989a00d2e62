// Runtimes that answer requests and compile no WASM at run time: workerd from a bundle that wrangler
// made, edge-runtime from one that esbuild made, with the modules of another realm.

import { execFile, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import type { Project } from './project.ts'
import { tool } from './project.ts'
import { parsed, type Runtime, type SuiteResult } from './runtime.ts'

const execute = promisify(execFile)
const absentUnless = (path: string): string | undefined =>
  existsSync(path) ? undefined : 'npm ci --prefix test/runtimes'

const COMPATIBILITY = '2026-04-01'

/** A port that nobody listens on. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise(resolve => server.close(resolve))
  return port
}

/** Bundles worker.mjs as `wrangler deploy` would; the folder of the bundle. */
export async function wranglerBundle(project: Project): Promise<string> {
  const out = join(project.folder, 'workerd')
  writeFileSync(
    join(project.folder, 'wrangler.json'),
    JSON.stringify({ name: 'suite', main: 'worker.mjs', compatibility_date: COMPATIBILITY }),
  )
  await execute(tool('.bin/wrangler'), ['deploy', '--dry-run', '--outdir', out], {
    cwd: project.folder,
    env: { ...process.env, WRANGLER_SEND_METRICS: 'false', CI: 'true' },
  })
  return out
}

/** The configuration of workerd that serves a bundle. */
function capnp(folder: string, port: number): string {
  const modules = readdirSync(folder)
    .filter(file => /\.(js|wasm)$/.test(file))
    .sort((a, b) => Number(a.endsWith('.wasm')) - Number(b.endsWith('.wasm')))
    .map(file => {
      const kind = file.endsWith('.wasm') ? 'wasm' : 'esModule'
      return `(name = "${file}", ${kind} = embed "${file}")`
    })
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = ( services = [(name = "main", worker = .w)],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")] );
const w :Workerd.Worker = ( modules = [ ${modules.join(', ')} ],
  compatibilityDate = "${COMPATIBILITY}" );
`
}

async function fetchWhenUp(url: string, tries = 100): Promise<string> {
  for (let i = 1; ; i++) {
    try {
      return await (await fetch(url)).text()
    } catch (error) {
      if (i === tries) {
        throw error
      }
      await new Promise(resolve => setTimeout(resolve, 100))
    }
  }
}

async function inWorkerd(project: Project): Promise<SuiteResult> {
  const folder = await wranglerBundle(project)
  const port = await freePort()
  writeFileSync(join(folder, 'config.capnp'), capnp(folder, port))
  const server = spawn(tool('.bin/workerd'), ['serve', 'config.capnp'], { cwd: folder })
  let complaints = ''
  server.stderr.on('data', text => {
    complaints += text
  })
  try {
    const text = await fetchWhenUp(`http://127.0.0.1:${port}/`)
    return parsed(text)
  } catch (cause) {
    throw new Error(`workerd: ${complaints}`, { cause })
  } finally {
    server.kill()
  }
}

// A host of edge functions hands compiled modules over for `x.wasm?module`; here they are globals.
const BUNDLE_EDGE = `
import { build } from 'esbuild'
const wasm = {
  name: 'wasm',
  setup(build) {
    build.onResolve({ filter: /\\.wasm\\?module$/ }, ({ path }) => ({
      path: path.replace(/^.*\\/|\\.wasm.*$/g, ''), namespace: 'wasm' }))
    build.onLoad({ filter: /.*/, namespace: 'wasm' }, ({ path }) => ({
      contents: 'export default globalThis.modules.' + path }))
  },
}
await build({ entryPoints: ['edge.mjs'], outfile: 'edge/edge.js', bundle: true, format: 'iife',
  conditions: ['edge-light'], plugins: [wasm] })
`

async function inEdgeRuntime(project: Project): Promise<SuiteResult> {
  const script = join(project.folder, 'bundle-edge.mjs')
  const esbuild = `file://${tool('esbuild/lib/main.js')}`
  writeFileSync(script, BUNDLE_EDGE.replace("'esbuild'", `'${esbuild}'`))
  mkdirSync(join(project.folder, 'edge'), { recursive: true })
  await execute(process.execPath, [script], { cwd: project.folder })
  const { EdgeRuntime } = (await import(tool('edge-runtime/dist/index.js'))) as {
    EdgeRuntime: new (options: object) => EdgeVm
  }
  const wasm = join(project.folder, 'node_modules/lowrank/dist/wasm')
  const modules = Object.fromEntries(
    readdirSync(wasm).map(file => [
      basename(file, '.wasm'),
      new WebAssembly.Module(readFileSync(join(wasm, file))),
    ]),
  )
  const runtime = new EdgeRuntime({
    initialCode: readFileSync(join(project.folder, 'edge/edge.js'), 'utf8'),
    extend: (context: object) => Object.assign(context, { modules }),
  })
  const response = await runtime.dispatchFetch('http://localhost/')
  return parsed(await response.text())
}

interface EdgeVm {
  dispatchFetch(url: string): Promise<Response>
}

export const servers: readonly Runtime[] = [
  { name: 'workerd', absent: absentUnless(tool('.bin/wrangler')), run: inWorkerd },
  { name: 'edge-runtime', absent: absentUnless(tool('edge-runtime')), run: inEdgeRuntime },
]
