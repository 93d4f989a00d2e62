// A little web server for the pages of the suite: the installed package below /lowrank/, pages beside
// it. Below /isolated/ the same pages are isolated, so that they may share memory.

import { readFileSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import { extname, join } from 'node:path'
import { at, type Project } from './project.ts'

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
  '.map': 'application/json',
}

const ISOLATED = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
}

export interface Site {
  readonly url: string
  close(): Promise<void>
}

function fileOf(path: string, project: Project): string {
  if (path.startsWith('/lowrank/')) {
    return join(project.folder, 'node_modules', path)
  }
  return path === '/suite.mjs' ? at('suite.mjs') : at(`pages${path === '/' ? '/index.html' : path}`)
}

function send(response: ServerResponse, file: string, headers: object): void {
  try {
    const body = readFileSync(file)
    response.writeHead(200, {
      'Content-Type': TYPES[extname(file)] ?? 'text/plain',
      'Cross-Origin-Resource-Policy': 'same-origin',
      ...headers,
    })
    response.end(body)
  } catch {
    response.writeHead(404).end()
  }
}

/** Serves until closed. `?csp=…` sets a Content-Security-Policy, `?isolated` isolates the page. */
export async function serve(project: Project): Promise<Site> {
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost')
    const csp = searchParams.get('csp')
    const isolated = searchParams.has('isolated') || pathname.endsWith('.js')
    const headers = {
      ...(isolated ? ISOLATED : {}),
      ...(csp ? { 'Content-Security-Policy': csp } : {}),
    }
    send(response, fileOf(pathname, project), headers)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  return {
    url: `http://127.0.0.1:${port}`,
    async close() {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
}
