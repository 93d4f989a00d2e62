// The directory of the file system: whole or not at all, also for a process that is killed.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { threadId } from 'node:worker_threads'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { hashName } from '../../src/core/rng.ts'
import { directory } from '../../src/node/index.ts'
import { swapIn } from '../../src/node/staging.ts'

const WRITER = fileURLToPath(new URL('./interrupted-writer.ts', import.meta.url))
const REPEAT = Number(process.env.LOWRANK_REPEAT ?? 1)

let scratch = ''
let target = ''

beforeEach(async () => {
  scratch = await realpath(await mkdtemp(join(tmpdir(), 'lowrank-directory-')))
  target = join(scratch, 'adapter')
})

afterEach(async () => {
  await rm(scratch, { recursive: true, force: true })
})

function startWriter(mode: string, waitAt: number): ChildProcess {
  const args = ['--import', 'tsx', WRITER, target, mode, String(waitAt)]
  return spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
}

/** Kills a writer once it is about to write a piece; says under which process id it ran. */
async function killAt(mode: string, piece: number): Promise<number> {
  const writer = startWriter(mode, piece)
  let output = ''
  for await (const chunk of writer.stdout!) {
    output += chunk
    if (output.includes(`piece ${piece}\n`)) {
      break
    }
  }
  const exit = once(writer, 'exit')
  writer.kill('SIGKILL')
  await exit
  return writer.pid!
}

async function contents(path: string): Promise<Record<string, string>> {
  const names = await readdir(path)
  const pairs = names.map(async name => [name, await readFile(join(path, name), 'utf8')] as const)
  return Object.fromEntries(await Promise.all(pairs))
}

describe('a writer that is killed', () => {
  it('leaves nothing under the name, and the next write removes its leftovers', async () => {
    for (const piece of [0, 3, 4, 7]) {
      await killAt('new', piece)
      const names = await readdir(scratch)
      expect(names.length).toBe(1)
      expect(names[0]).toMatch(/^\.adapter\.new-/)
      expect(await directory(target).list()).toEqual([])
      await directory(target).writeAll(new Map([['a', '1']]))
      expect(await readdir(scratch)).toEqual(['adapter'])
      await rm(target, { recursive: true })
    }
  }, 60_000)

  it('leaves the old directory as it was when it was to overwrite it', async () => {
    const old = { 'adapter_config.json': 'old c', 'adapter_model.safetensors': 'old m' }
    await directory(target).writeAll(new Map(Object.entries(old)))
    for (const piece of [1, 6]) {
      await killAt('overwrite', piece)
      expect(await contents(target)).toEqual(old)
    }
    await directory(target).writeAll(new Map([['b', '2']]), { overwrite: true })
    expect(await readdir(scratch)).toEqual(['adapter'])
    expect(await contents(target)).toEqual({ ...old, b: '2' })
  }, 60_000)

  it('leaves all or nothing, whenever it is killed', async () => {
    const old = { 'adapter_config.json': 'old c', 'adapter_model.safetensors': 'old m' }
    const written = {
      'adapter_config.json': 'c'.repeat(400_000),
      'adapter_model.safetensors': 'm'.repeat(400_000),
    }
    for (let round = 0; round < 4 * REPEAT; round++) {
      // All of it: what a killed writer left beside the target would be put back in its place.
      await rm(scratch, { recursive: true, force: true })
      await mkdir(scratch)
      await directory(target).writeAll(new Map(Object.entries(old)))
      const writer = startWriter('overwrite', -1)
      await once(writer.stdout!, 'data')
      const exit = once(writer, 'exit')
      await new Promise(done => setTimeout(done, (round * 7) % 29))
      writer.kill('SIGKILL')
      await exit
      // The first use puts back what was renamed away.
      await directory(target).has('adapter_config.json')
      const found = await contents(target)
      expect([JSON.stringify(old), JSON.stringify(written)]).toContain(JSON.stringify(found))
    }
  }, 120_000)

  it('between its two renames leaves the old directory to be put back', async () => {
    const pid = await killAt('new', 5)
    const [leftover] = await readdir(scratch)
    expect(leftover).toContain(`-${pid}-`)
    // As if it had been killed in the middle of replacing an older directory.
    const hidden = join(scratch, leftover.replace('.new-', '.old-'))
    await mkdir(join(hidden, 'content'), { recursive: true })
    await writeFile(join(hidden, 'content', 'a'), 'old')
    expect(await directory(target).list()).toEqual(['a'])
    expect(await contents(target)).toEqual({ a: 'old' })
    await expect(directory(target).writeAll(new Map([['b', '2']]))).rejects.toThrow(
      'got one with a',
    )
  }, 60_000)

  it('is not mistaken for one that is alive', async () => {
    const writer = startWriter('new', 2)
    await once(writer.stdout!, 'data')
    await expect.poll(() => readdir(scratch)).toHaveLength(1)
    await directory(target).writeAll(new Map([['a', '1']]))
    expect((await readdir(scratch)).length).toBe(2)
    const exit = once(writer, 'exit')
    writer.kill('SIGKILL')
    await exit
  }, 60_000)
})

describe('directory', () => {
  it('takes a path or a file URL and makes the directories above', async () => {
    const deep = join(scratch, 'a', 'b', 'c')
    await directory(pathToFileURL(deep)).writeAll(new Map([['x', '1']]))
    expect(await readFile(join(deep, 'x'), 'utf8')).toBe('1')
    expect(directory('./here').label).toBe('./here')
  })

  it('takes back the directories it made if it cannot write', async () => {
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield new Uint8Array(1)
      throw new Error('no more')
    }
    const deep = directory(join(scratch, 'a', 'b', 'c'))
    await expect(deep.writeAll(new Map([['x', failing()]]))).rejects.toThrow('no more')
    expect(await readdir(scratch)).toEqual([])
  })

  it('gives new directories and files the usual rights, and a replaced one its own', async () => {
    await mkdir(join(scratch, 'usual'))
    const usual = (await stat(join(scratch, 'usual'))).mode
    await directory(target).writeAll(new Map([['a', '1']]))
    expect((await stat(target)).mode).toBe(usual)
    await chmod(target, 0o750)
    await directory(target).writeAll(new Map([['a', '2']]), { overwrite: true })
    expect((await stat(target)).mode & 0o777).toBe(0o750)
  })

  it('writes into an empty directory, and keeps subdirectories when it overwrites', async () => {
    await mkdir(target)
    await directory(target).writeAll(new Map([['a', '1']]))
    await mkdir(join(target, 'checkpoint'))
    await writeFile(join(target, 'checkpoint', 'state'), 'kept')
    await directory(target).writeAll(new Map([['a', '2']]), { overwrite: true })
    expect(await readFile(join(target, 'a'), 'utf8')).toBe('2')
    expect(await readFile(join(target, 'checkpoint', 'state'), 'utf8')).toBe('kept')
    expect(await directory(target).list()).toEqual(['a'])
  })

  it('follows a link to a directory, and links to files', async () => {
    await directory(target).writeAll(new Map([['a', '1']]))
    await symlink(target, join(scratch, 'link'))
    const linked = directory(join(scratch, 'link'))
    await linked.writeAll(new Map([['a', '2']]), { overwrite: true })
    expect(await readFile(join(target, 'a'), 'utf8')).toBe('2')
    await symlink(join(target, 'a'), join(target, 'b'))
    await symlink(join(target, 'nowhere'), join(target, 'c'))
    expect(await linked.list()).toEqual(['a', 'b'])
    expect(await linked.size('b')).toBe(1)
  })

  it('refuses a file in its place, the current directory, and those above it', async () => {
    await writeFile(target, 'in the way')
    await expect(directory(target).writeAll(new Map())).rejects.toMatchObject({
      code: 'file',
      message: `${target}: expected a directory, got a file`,
    })
    await expect(directory(join(target, 'x')).writeAll(new Map())).rejects.toMatchObject({
      code: 'file',
    })
    expect(await directory(target).list()).toEqual([])
    for (const path of ['.', '..', '/']) {
      await expect(directory(path).checkWritable({ overwrite: true })).rejects.toThrow(
        `${path}: expected a directory of its own, got the current one or one above it`,
      )
    }
  })

  it.skipIf(process.getuid?.() === 0)('refuses a place that cannot be written, early', async () => {
    await chmod(scratch, 0o555)
    await expect(directory(target).checkWritable()).rejects.toThrow('which cannot be written')
    await chmod(scratch, 0o755)
  })

  it.skipIf(!existsSync('/proc/self'))('refuses a mount point', async () => {
    await expect(directory('/proc').checkWritable({ overwrite: true })).rejects.toThrow(
      '/proc: expected a writable directory above it, got a mount point',
    )
  })

  it('removes what a process of the same number left behind before it', async () => {
    const machine = hashName(hostname()).toString(16)
    const hidden = `.adapter.new-${machine}-${process.pid}-${threadId}-abcdef`
    await mkdir(join(scratch, hidden))
    await directory(target).writeAll(new Map([['a', '1']]))
    expect(await readdir(scratch)).toEqual(['adapter'])
  })

  it('says so where there is no directory, and where a name is one', async () => {
    await expect(directory(target).read('a')).rejects.toMatchObject({
      code: 'file',
      message: `${target}: expected a directory, got nothing at this path`,
    })
    await mkdir(join(target, 'sub'), { recursive: true })
    await expect(directory(target).read('sub')).rejects.toThrow('expected a file "sub", got none')
  })

  it('is as it was when the staged files vanish before they are in place', async () => {
    const place = directory(target)
    await place.writeAll(new Map([['a', 'old']]))
    async function* thief(): AsyncGenerator<Uint8Array> {
      yield new Uint8Array(1)
      const [hidden] = (await readdir(scratch)).filter(name => name.startsWith('.adapter.new-'))
      await rename(join(scratch, hidden), join(scratch, 'stolen'))
    }
    const attempt = place.writeAll(new Map([['b', thief()]]), { overwrite: true })
    await expect(attempt).rejects.toMatchObject({ code: 'file' })
    expect(await contents(target)).toEqual({ a: 'old' })
    expect((await readdir(scratch)).sort()).toEqual(['adapter', 'stolen'])
  })
})

describe('swapIn', () => {
  it('puts the old directory back if the new one cannot take its place', async () => {
    await directory(target).writeAll(new Map([['a', 'old']]))
    await expect(swapIn(join(scratch, 'nothing'), target, true)).rejects.toThrow('ENOENT')
    expect(await contents(target)).toEqual({ a: 'old' })
    expect(await readdir(scratch)).toEqual(['adapter'])
  })
})
