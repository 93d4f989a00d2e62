// What a kernel made of several programs works with: programs by their text, temporary room, parts of
// blocks, and the device's limits.

import type { Commands } from './commands.ts'
import { ALIGNMENT, type Block, type Pool } from './pool.ts'
import { CompiledProgram, type Kernel, Layouts, type Program } from './program.ts'

/** A kernel as a file offers it: one program, or what combines several. */
export type KernelSource = Program | ((machine: Machine) => Kernel)
export type KernelSources = Readonly<Record<string, KernelSource>>

export class Machine {
  /** The most bytes of a buffer that one kernel sees. */
  readonly bindingLimit: number
  readonly #device: GPUDevice
  readonly #commands: Commands
  readonly #pool: Pool
  readonly #layouts: Layouts
  readonly #programs: Map<Program, Kernel> = new Map()

  constructor(device: GPUDevice, commands: Commands, pool: Pool, bindingLimit: number) {
    this.#device = device
    this.#commands = commands
    this.#pool = pool
    this.#layouts = new Layouts(device, commands.parameterLayout)
    this.bindingLimit = bindingLimit
  }

  kernel(source: KernelSource): Kernel {
    return typeof source === 'function' ? source(this) : this.program(source)
  }

  program(program: Program): Kernel {
    const known = this.#programs.get(program)
    if (known) {
      return known
    }
    const compiled = new CompiledProgram(
      this.#device,
      this.#commands,
      this.#layouts,
      this.bindingLimit,
      program,
    )
    const kernel: Kernel = (...parameters) => compiled.run(parameters)
    this.#programs.set(program, kernel)
    return kernel
  }

  /** Calls `fn` with room for `count` 32-bit words that is given back afterwards, also where `fn` throws. */
  withRoom(count: number, fn: (room: Block) => void): void {
    const room = this.#pool.allocate(count * 4)
    try {
      fn(room)
    } finally {
      this.#pool.release(room)
    }
  }
}

/** Bytes from `offset` on, a multiple of 256, of a block. */
export function partOf(block: Block, offset: number, bytes: number): Block {
  return { ...block, offset: block.offset + offset, bytes }
}

/** The fewest rows of `rowBytes` each that end where a binding may begin. */
export function alignedRows(rowBytes: number): number {
  let rows = 1
  while ((rows * rowBytes) % ALIGNMENT !== 0) {
    rows *= 2
  }
  return rows
}
