// Files behind a URL, read with HTTP range requests (RFC 9110, section 14): one tensor of a large
// file is one request. A server that ignores ranges sends the whole file; it is then kept, so that
// this happens once per file.

import { LowrankError } from '../core/errors.ts'
import { type ByteSource, checkName, checkRange, locate, missingFile } from './source.ts'

export interface HttpOptions {
  /** Sent with every request: authorization, for example. */
  readonly headers?: Readonly<Record<string, string>>
  /** Used in place of the global `fetch`. */
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>
}

class HttpDirectory implements ByteSource {
  readonly label: string
  readonly #base: URL
  readonly #options: HttpOptions
  readonly #sizes = new Map<string, Promise<number>>()
  readonly #whole = new Map<string, Uint8Array>()

  constructor(url: string | URL, options: HttpOptions) {
    this.#base = new URL(url)
    if (!this.#base.pathname.endsWith('/')) {
      this.#base.pathname += '/'
    }
    // The query can hold a signature or a token: it stays out of messages.
    this.label = this.#base.origin + this.#base.pathname.slice(0, -1)
    this.#options = options
  }

  #url(name: string): string {
    checkName(this, name)
    const path = name.split('/').map(encodeURIComponent).join('/')
    const url = new URL(this.#base)
    url.pathname += path
    return url.href
  }

  /** The reply to a request, also a 404 or 416; every other failure throws. */
  async #request(name: string, init: RequestInit): Promise<Response> {
    const where = locate(this, name)
    const headers = { ...this.#options.headers, ...(init.headers as Record<string, string>) }
    const send = this.#options.fetch ?? fetch
    let response: Response
    try {
      response = await send(this.#url(name), { ...init, headers })
    } catch (error) {
      if (error instanceof LowrankError) {
        throw error
      }
      const reason = error instanceof Error ? error.message : String(error)
      throw new LowrankError('file', `${where}: could not be fetched: ${reason}`, { cause: error })
    }
    if (response.ok || [404, 410, 416].includes(response.status)) {
      return response
    }
    const advice = [401, 403].includes(response.status)
      ? ' (are authorization headers missing?)'
      : ''
    throw new LowrankError('file', `${where}: expected HTTP 200, got ${response.status}${advice}`)
  }

  async #found(name: string, init: RequestInit): Promise<Response> {
    const response = await this.#request(name, init)
    if (response.status === 404 || response.status === 410) {
      await response.body?.cancel()
      throw await missingFile(this, name)
    }
    return response
  }

  /** The size, from the reply to a request for the first byte. */
  async #probe(name: string): Promise<number> {
    const response = await this.#found(name, { headers: { range: 'bytes=0-0' } })
    if (response.status === 200) {
      return (await this.#keep(name, response)).length
    }
    await response.body?.cancel()
    const total = /\/(\d+)$/.exec(response.headers.get('content-range') ?? '')?.[1]
    if (total !== undefined) {
      return Number(total)
    }
    // A page from another origin may be kept from seeing Content-Range, but not Content-Length.
    const head = await this.#found(name, { method: 'HEAD' })
    const length = head.headers.get('content-length')
    if (length === null) {
      throw new LowrankError('file', `${locate(this, name)}: the server does not tell its size`)
    }
    return Number(length)
  }

  async #keep(name: string, response: Response): Promise<Uint8Array> {
    const bytes = new Uint8Array(await response.arrayBuffer())
    this.#whole.set(name, bytes)
    return bytes
  }

  async has(name: string): Promise<boolean> {
    const response = await this.#request(name, { headers: { range: 'bytes=0-0' } })
    await response.body?.cancel()
    return response.ok || response.status === 416
  }

  size(name: string): Promise<number> {
    const known = this.#sizes.get(name)
    if (known !== undefined) {
      return known
    }
    const size = this.#probe(name)
    this.#sizes.set(name, size)
    size.catch(() => this.#sizes.delete(name))
    return size
  }

  async read(name: string, start?: number, end?: number): Promise<Uint8Array> {
    if (start === undefined && end === undefined && !this.#whole.has(name)) {
      const response = await this.#found(name, {})
      return new Uint8Array(await response.arrayBuffer())
    }
    const size = await this.size(name)
    const from = start ?? 0
    const to = end ?? size
    checkRange(locate(this, name), size, from, to)
    if (from === to) {
      return new Uint8Array(0)
    }
    return this.#whole.get(name)?.slice(from, to) ?? this.#range(name, from, to)
  }

  async #range(name: string, start: number, end: number): Promise<Uint8Array> {
    const response = await this.#found(name, { headers: { range: `bytes=${start}-${end - 1}` } })
    if (response.status === 200) {
      return (await this.#keep(name, response)).slice(start, end)
    }
    const bytes = new Uint8Array(await response.arrayBuffer())
    if (response.status !== 206 || bytes.length !== end - start) {
      throw new LowrankError(
        'file',
        `${locate(this, name)}: expected ${end - start} bytes from ${start}, got ${bytes.length} ` +
          `(HTTP ${response.status}; did the file change?)`,
      )
    }
    return bytes
  }

  list(): Promise<string[]> {
    const reason = `${this.label}: files behind a URL cannot be listed (ask for them by name)`
    return Promise.reject(new LowrankError('file', reason))
  }
}

/**
 * Files behind a URL, to be read: `httpDirectory('https://host/model').read('config.json')`.
 *
 * Large files are read in parts if the server supports range requests. Throws `file` where a
 * request fails. Source: RFC 9110, section 14.
 *
 * @example
 * ```ts
 * import { httpDirectory, readJson } from 'lowrank/io'
 *
 * const fetch = async () => new Response('{"model_type": "llama"}')
 * const model = httpDirectory('https://example.com/model', { fetch })
 * console.log(await readJson(model, 'config.json')) // { model_type: 'llama' }
 * ```
 */
export function httpDirectory(url: string | URL, options: HttpOptions = {}): ByteSource {
  return new HttpDirectory(url, options)
}
