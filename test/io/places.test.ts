// What a source and a directory promise, for each of them: in memory, on disk, behind a URL.

import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type ByteSource,
  type Directory,
  encodeSafetensors,
  fromNumbers,
  httpDirectory,
  memoryDirectory,
  openTensors,
  readJson,
} from '../../src/io/index.ts'
import { directory } from '../../src/node/index.ts'

const BYTES = Uint8Array.from({ length: 1000 }, (_, i) => i)
const FILES = { 'a.bin': BYTES, 'b.json': '{"r": 8}', 'c/d.txt': 'deep', empty: '' }
const files = (): Map<string, Uint8Array | string> => new Map(Object.entries(FILES))

let scratch = ''
let serial = 0

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'lowrank-places-'))
})

afterAll(async () => {
  await rm(scratch, { recursive: true, force: true })
})

const fresh: Readonly<Record<string, () => Directory>> = {
  memory: () => memoryDirectory(),
  node: () => directory(join(scratch, `directory-${serial++}`)),
}

/** What a test server does with requests. */
interface Habits {
  readonly ranges: boolean
  readonly contentRange: boolean
}

interface Served {
  readonly server: Server
  readonly url: string
  readonly log: string[]
}

async function serve(habits: Habits): Promise<Served> {
  const log: string[] = []
  const server = createServer((request, response) => {
    log.push(`${request.method} ${request.url} ${request.headers.range ?? '-'}`)
    const path = decodeURIComponent(new URL(`http://host${request.url}`).pathname).slice(
      '/m/'.length,
    )
    if (path === 'forbidden') {
      response.writeHead(403).end()
      return
    }
    if (!Object.hasOwn(FILES, path)) {
      response.writeHead(404).end('nothing here')
      return
    }
    const content = Buffer.from(FILES[path as keyof typeof FILES])
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '')
    if (!range || !habits.ranges) {
      response.writeHead(200, { 'content-length': content.length })
      response.end(request.method === 'HEAD' ? undefined : content)
      return
    }
    const [start, end] = [Number(range[1]), Math.min(Number(range[2]) + 1, content.length)]
    if (start >= content.length) {
      response.writeHead(416, { 'content-range': `bytes */${content.length}` }).end()
      return
    }
    const total = `bytes ${start}-${end - 1}/${content.length}`
    response.writeHead(206, habits.contentRange ? { 'content-range': total } : {})
    response.end(content.subarray(start, end))
  })
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  const { port } = server.address() as AddressInfo
  return { server, url: `http://127.0.0.1:${port}/m`, log }
}

const servers: Server[] = []

afterAll(() => {
  for (const server of servers) {
    server.close()
  }
})

async function served(habits: Partial<Habits> = {}): Promise<Served> {
  const result = await serve({ ranges: true, contentRange: true, ...habits })
  servers.push(result.server)
  return result
}

async function filled(kind: string): Promise<ByteSource> {
  if (kind.startsWith('http')) {
    const habits = { ranges: !kind.includes('whole'), contentRange: !kind.includes('blind') }
    return httpDirectory((await served(habits)).url)
  }
  const place = fresh[kind]()
  await place.writeAll(files())
  return place
}

describe.each(['memory', 'node', 'http', 'http whole', 'http blind'])('a source: %s', kind => {
  it('reads files whole and in part', async () => {
    const source = await filled(kind)
    expect(await source.size('a.bin')).toBe(1000)
    expect(await source.read('a.bin')).toEqual(BYTES)
    expect(await source.read('a.bin', 10)).toEqual(BYTES.subarray(10))
    expect(await source.read('a.bin', 0, 1)).toEqual(BYTES.subarray(0, 1))
    expect(await source.read('a.bin', 255, 258)).toEqual(new Uint8Array([255, 0, 1]))
    expect(await source.read('a.bin', 1000, 1000)).toEqual(new Uint8Array(0))
    expect(await source.read('empty')).toEqual(new Uint8Array(0))
    expect(await source.size('empty')).toBe(0)
    expect(await readJson(source, 'b.json')).toEqual({ r: 8 })
    expect(new TextDecoder().decode(await source.read('c/d.txt'))).toBe('deep')
  })

  it('gives arrays that are aligned and the caller’s own', async () => {
    const source = await filled(kind)
    const part = await source.read('a.bin', 3, 11)
    expect(part.byteOffset % 8).toBe(0)
    part.fill(0)
    expect(await source.read('a.bin', 3, 11)).toEqual(BYTES.subarray(3, 11))
  })

  it('knows what is there', async () => {
    const source = await filled(kind)
    expect(await source.has('a.bin')).toBe(true)
    expect(await source.has('empty')).toBe(true)
    expect(await source.has('c')).toBe(false)
    expect(await source.has('x')).toBe(false)
  })

  it('refuses missing files, ranges beyond the end, and names that lead out', async () => {
    const source = await filled(kind)
    const works = [() => source.read('x'), () => source.size('x'), () => source.read('x', 0, 1)]
    for (const work of works) {
      await expect(work()).rejects.toMatchObject({
        code: 'file',
        message: expect.stringMatching(/expected a file "x", got none/),
      })
    }
    await expect(source.read('a.bin', 990, 1001)).rejects.toThrow(
      /a\.bin: expected bytes 990 to 1001, got a file of 1000 bytes/,
    )
    await expect(source.read('a.bin', 5, 4)).rejects.toThrow('expected bytes 5 to 4')
    await expect(source.read('a.bin', -1, 4)).rejects.toThrow('expected bytes -1 to 4')
    for (const name of [
      '../a.bin',
      '/etc/passwd',
      'c/../a.bin',
      '',
      'c//d',
      'C:\\x',
      'a\0b',
      '.',
    ]) {
      await expect(source.read(name)).rejects.toThrow('expected a plain file name inside')
    }
  })

  it('holds a model', async () => {
    const bytes = fromNumbers([1, 2, 3], 'F32')
    const model = encodeSafetensors(new Map([['w', { dtype: 'F32', shape: [3], bytes }]]))
    const source = kind in fresh ? fresh[kind]() : memoryDirectory()
    await source.writeAll(new Map([['model.safetensors', model]]))
    expect(await (await openTensors(source)).read('w', 4)).toEqual(bytes.subarray(4))
  })
})

describe.each(Object.keys(fresh))('a directory: %s', kind => {
  it('lists its files, none while it does not exist', async () => {
    const place = fresh[kind]()
    expect(await place.list()).toEqual([])
    expect(await place.has('a')).toBe(false)
    await place.writeAll(
      new Map([
        ['b', '2'],
        ['a', '1'],
      ]),
    )
    expect(await place.list()).toEqual(['a', 'b'])
    await expect(place.read('c')).rejects.toThrow('expected a file "c", got none (there are a, b)')
  })

  it('refuses to write over anything unasked', async () => {
    const place = fresh[kind]()
    await place.checkWritable()
    await place.writeAll(new Map([['a', '1']]))
    const refusal = {
      code: 'file',
      message: expect.stringMatching(/: expected a new or empty directory, got one with a \(/),
    }
    await expect(place.checkWritable()).rejects.toMatchObject(refusal)
    await expect(place.writeAll(new Map([['b', '2']]))).rejects.toMatchObject(refusal)
    await place.checkWritable({ overwrite: true })
    expect(await place.list()).toEqual(['a'])
  })

  it('overwrites what it is given, drops what is obsolete, keeps the rest', async () => {
    const place = fresh[kind]()
    const before = ['a', 'model-1.bin', 'model-2.bin', 'notes.txt']
    await place.writeAll(new Map(before.map(name => [name, `old ${name}`])))
    const after = new Map([
      ['a', 'new a'],
      ['model-1.bin', 'new model'],
    ])
    const obsolete = (name: string): boolean => name.startsWith('model-')
    await place.writeAll(after, { overwrite: true, obsolete })
    expect(await place.list()).toEqual(['a', 'model-1.bin', 'notes.txt'])
    const texts = ['new a', 'new model', 'old notes.txt']
    for (const [i, name] of (await place.list()).entries()) {
      expect(new TextDecoder().decode(await place.read(name))).toBe(texts[i])
    }
  })

  it('is as it was when a file cannot be made', async () => {
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield BYTES
      throw new Error('out of thoughts')
    }
    const place = fresh[kind]()
    const attempt = new Map<string, string | AsyncIterable<Uint8Array>>([
      ['a', 'new'],
      ['b', failing()],
    ])
    await expect(place.writeAll(attempt)).rejects.toThrow('out of thoughts')
    expect(await place.list()).toEqual([])
    await place.writeAll(new Map([['a', 'old']]))
    attempt.set('b', failing())
    await expect(place.writeAll(attempt, { overwrite: true })).rejects.toThrow('out of thoughts')
    expect(await place.list()).toEqual(['a'])
    expect(await place.read('a')).toEqual(new TextEncoder().encode('old'))
    await expect(place.write('a', failing())).rejects.toThrow('out of thoughts')
    expect(await place.read('a')).toEqual(new TextEncoder().encode('old'))
  })

  it('takes content in pieces whose memory is used again', async () => {
    async function* pieces(): AsyncGenerator<Uint8Array> {
      const shared = new Uint8Array(2)
      for (let i = 0; i < 3; i++) {
        yield shared.fill(i)
        yield new Uint8Array(0)
      }
    }
    const place = fresh[kind]()
    await place.write('p', pieces())
    expect(Array.from(await place.read('p'))).toEqual([0, 0, 1, 1, 2, 2])
  })

  it('lets two writers of one file both finish', async () => {
    const place = fresh[kind]()
    let release = (): void => {}
    const released = new Promise<void>(resolve => {
      release = resolve
    })
    async function* slow(): AsyncGenerator<Uint8Array> {
      yield BYTES
      await released
    }
    const first = place.write('a', slow())
    await place.write('a', 'fast')
    expect(await place.size('a')).toBe(4)
    release()
    await first
    expect(await place.size('a')).toBe(1000)
  })

  it('writes single files, over old ones and beside others', async () => {
    const place = fresh[kind]()
    await place.write('a', '1')
    await place.write('b', '2')
    await place.write('a', 'once more')
    expect(await place.list()).toEqual(['a', 'b'])
    expect(await place.size('a')).toBe(9)
    await expect(place.write('../a', '1')).rejects.toThrow('expected a plain file name')
    await expect(place.writeAll(new Map([['/a', '1']]), { overwrite: true })).rejects.toThrow(
      'expected a plain file name',
    )
  })
})

describe('httpDirectory', () => {
  it('asks for ranges, and for a whole file only once where there are none', async () => {
    const good = await served()
    const source = httpDirectory(good.url)
    await source.read('a.bin', 10, 20)
    await source.read('a.bin', 20, 30)
    expect(good.log).toEqual([
      'GET /m/a.bin bytes=0-0',
      'GET /m/a.bin bytes=10-19',
      'GET /m/a.bin bytes=20-29',
    ])
    const plain = await served({ ranges: false })
    const whole = httpDirectory(`${plain.url}/`)
    await whole.read('a.bin', 10, 20)
    await whole.read('a.bin', 20, 30)
    expect(plain.log).toEqual(['GET /m/a.bin bytes=0-0'])
  })

  it('keeps the query of its URL out of messages, and sends it with every request', async () => {
    const { url, log } = await served()
    const source = httpDirectory(`${url}?token=secret`)
    await expect(source.read('x')).rejects.toThrow(/^http:\/\/127\.0\.0\.1:\d+\/m: expected a file/)
    expect(log).toEqual(['GET /m/x?token=secret -'])
  })

  it('encodes names and sends headers', async () => {
    const calls: [string, unknown][] = []
    const fetch = async (url: string, init: RequestInit): Promise<Response> => {
      calls.push([url, init.headers])
      return new Response('ok')
    }
    const source = httpDirectory('https://host/m', { fetch, headers: { authorization: 'me' } })
    await source.read('a b/c?d#e%20.json')
    expect(calls).toEqual([['https://host/m/a%20b/c%3Fd%23e%2520.json', { authorization: 'me' }]])
  })

  it('says what failed: the status, the network, a short reply', async () => {
    const { url } = await served()
    await expect(httpDirectory(url).read('forbidden')).rejects.toThrow(
      /forbidden: expected HTTP 200, got 403 \(are authorization headers missing\?\)/,
    )
    const broken = httpDirectory('https://host/m', {
      fetch: () => Promise.reject(new TypeError('fetch failed')),
    })
    await expect(broken.has('a')).rejects.toMatchObject({
      code: 'file',
      message: 'https://host/m/a: could not be fetched: fetch failed',
    })
    const headers = { 'content-range': 'bytes 0-0/100' }
    const short = httpDirectory('https://host/m', {
      fetch: async () => new Response('x', { status: 206, headers }),
    })
    await expect(short.read('a', 0, 8)).rejects.toThrow('expected 8 bytes from 0, got 1')
    await expect(short.list()).rejects.toThrow('cannot be listed')
  })
})
