// The program of a worker thread, as text: there is no second file to find, host or bundle. It takes
// chunks of the work in hand (control.ts says where things are) and sleeps when there is none; it goes
// back to its event loop only to read messages, which bring modules.

import * as at from './control.ts'

/**
 * How often a worker looks for new work before it sleeps: about 1 ms, longer than anything between two kernels of
 * a step, the upload of a batch included. To be woken up takes 50 µs on a quiet machine, on a busy one far more.
 */
const SPINS = 200_000

export const WORKER_SOURCE: string = `
let words, numbers, memory, index, core, read = 0
const kernels = []

function compute(chunk) {
  const first = ${at.FIRST}
  const count = numbers[${at.OPERANDS}]
  const operands = []
  for (let i = 0; i < count; i++) operands.push(numbers[first + i])
  const start = numbers[${at.STARTS} + chunk]
  const units = numbers[${at.STARTS + 1} + chunk] - start
  operands[numbers[${at.COUNT}]] = units
  for (let i = 0; i < numbers[${at.MOVES}]; i++) {
    const pair = first + count + 2 * i
    operands[numbers[pair]] += start * numbers[pair + 1]
  }
  if (numbers[${at.SCRATCH}] >= 0) {
    operands[numbers[${at.SCRATCH}]] = numbers[${at.OWN_SCRATCH} + index]
  }
  kernels[numbers[${at.KERNEL}]](...operands)
  Atomics.add(words, ${at.UNITS}, units)
}

function takeChunk(claim) {
  if (Atomics.compareExchange(words, ${at.CLAIM}, claim, claim - 1) !== claim) return
  try {
    compute((claim & 255) - 1)
  } catch {
    Atomics.add(words, ${at.FAILED}, 1)
  }
  Atomics.add(words, ${at.DONE}, 1)
}

function waitFor(claim) {
  for (let i = 0; i < ${SPINS}; i++) {
    if (Atomics.load(words, ${at.CLAIM}) !== claim) return
  }
  Atomics.add(words, ${at.SLEEPERS}, 1)
  Atomics.wait(words, ${at.CLAIM}, claim)
  Atomics.sub(words, ${at.SLEEPERS}, 1)
}

function work() {
  while (Atomics.load(words, ${at.MAIL}) === read) {
    const claim = Atomics.load(words, ${at.CLAIM})
    if (claim & 255) takeChunk(claim)
    else waitFor(claim)
  }
}

function receive(message) {
  if (message.control) {
    words = new Int32Array(message.control, 0, ${at.WORDS})
    numbers = new Float64Array(message.control, ${at.WORDS * 4})
    memory = message.memory
    index = message.index
  }
  for (const { module, names } of message.binaries) {
    const { exports } = new WebAssembly.Instance(module, { env: { memory }, core })
    core ??= exports
    for (const name of names) kernels.push(exports[name])
  }
  read++
  Atomics.store(words, ${at.LOADED} + index, read)
  work()
}

const port = globalThis.process?.getBuiltinModule?.('node:worker_threads')?.parentPort
if (port) port.on('message', receive)
else onmessage = ({ data }) => receive(data)
`
