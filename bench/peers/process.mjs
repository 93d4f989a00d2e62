// A worker in a process of its own, pinned to one processor where `taskset` is there, and asked one thing
// at a time.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { ADAMW, SCALE } from './workloads.mjs'

const here = name => fileURLToPath(new URL(name, import.meta.url))
const python = process.env.LOWRANK_PYTHON ?? 'python3'
const canPin = spawnSync('taskset', ['--version']).status === 0
const PROCESSOR = process.env.LOWRANK_PROCESSOR ?? '0'

/** A command on one processor, where that can be said. */
export function pinned(command) {
  return canPin ? ['taskset', '-c', PROCESSOR, ...command] : command
}

/** Whether a Python with these packages is there. */
export function pythonHas(...packages) {
  return spawnSync(python, ['-c', `import ${packages.join(', ')}`]).status === 0
}

const DENO = here('../../test/runtimes/node_modules/.bin/deno')

/** Whether a place where engines compute on WebGPU is installed. */
export function hasPlace(place) {
  const needed = { deno: DENO, dawn: here('../../test/webgpu/node_modules/webgpu') }
  return existsSync(needed[place])
}

function commandOf(engine) {
  if (engine.startsWith('torch')) {
    return [python, here('engines/torch.py')]
  }
  if (engine.endsWith('@deno')) {
    return [DENO, 'run', '--allow-all', '--quiet', here('worker.mjs')]
  }
  const loader = engine === 'ceiling' ? ['--import', 'tsx'] : []
  return [process.execPath, ...loader, here('worker.mjs')]
}

/** One engine on one workload. */
export class Worker {
  #child
  #lines
  #errors = ''

  constructor(engine, workload, folder) {
    const command = [...commandOf(engine), engine, workload.name, folder]
    const [file, ...args] = pinned(command)
    const env = { ...process.env, OMP_NUM_THREADS: '1', MKL_NUM_THREADS: '1' }
    this.#child = spawn(file, args, { env, stdio: ['pipe', 'pipe', 'pipe'] })
    this.#child.stderr.on('data', text => {
      this.#errors = (this.#errors + text).slice(-2000)
    })
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]()
    if (engine.startsWith('torch')) {
      this.#send({ workload, scale: SCALE, adamw: ADAMW })
    }
  }

  #send(message) {
    this.#child.stdin.write(`${JSON.stringify(message)}\n`)
  }

  /** The next answer. Throws what went wrong in the worker. */
  async answer() {
    const { value, done } = await this.#lines.next()
    if (done) {
      throw new Error(`ended without an answer: ${this.#errors}`)
    }
    const answer = JSON.parse(value)
    if (answer.error) {
      throw new Error(answer.error)
    }
    return answer
  }

  ask(message) {
    this.#send(message)
    return this.answer()
  }

  /** The peak of the resident memory, in MB; the process ends. */
  async end() {
    const ended = once(this.#child, 'exit')
    const answer = await this.ask({ ask: 'end' })
    this.#child.stdin.end()
    await ended
    return answer
  }

  kill() {
    this.#child.kill()
  }
}
