// A kernel as WGSL: its parameters in the order of the reference loops, how many threads or workgroups
// it takes, and its body. From these the module is written, compiled on first use and kept.
//
//   x:[f32]    a buffer that is read            n:u32 eps:f32 i:i32   numbers, p.n in the body
//   y:[f32]!   a buffer that is written         scratch:-             not used
//
// A body sees `thread` (or `group` and `lane`) and its buffers by name. Where one buffer is passed for
// two parameters, one of them written, both names stand for one binding: WebGPU refuses to bind a
// written buffer twice.

import { LowrankError } from '../../core/errors.ts'
import type { Commands, Executable } from './commands.ts'
import type { Block } from './pool.ts'

export type Argument = Block | number
/** A kernel, called with the arguments of the reference loops. */
export type Kernel = (...parameters: Argument[]) => void
/** The numbers of a call by name. */
export type Numbers = Readonly<Record<string, number>>

export interface Program {
  readonly parameters: string
  /** How many threads run the body, each with its own `thread`. */
  readonly threads?: (numbers: Numbers) => number
  /** How many workgroups run the body, each with its own `group`; `lane` counts within. */
  readonly groups?: (numbers: Numbers) => number
  /** Threads in a workgroup; 64 if absent. */
  readonly size?: number
  /** WGSL before the body: functions, workgroup variables. */
  readonly uses?: readonly string[]
  readonly code: string
}

interface BufferParameter {
  readonly name: string
  readonly at: number
  readonly element: string
  readonly written: boolean
}

interface NumberParameter {
  readonly name: string
  readonly at: number
  readonly type: 'u32' | 'i32' | 'f32'
}

interface Signature {
  readonly buffers: readonly BufferParameter[]
  readonly numbers: readonly NumberParameter[]
}

const DEFAULT_SIZE = 64

function signatureOf(parameters: string): Signature {
  const buffers: BufferParameter[] = []
  const numbers: NumberParameter[] = []
  parameters
    .trim()
    .split(/\s+/)
    .forEach((parameter, at) => {
      const [name, type] = parameter.split(':')
      const buffer = /^\[(.+)\](!?)$/.exec(type)
      if (buffer) {
        buffers.push({ name, at, element: buffer[1], written: buffer[2] === '!' })
      } else if (type !== '-') {
        numbers.push({ name, at, type: type as NumberParameter['type'] })
      }
    })
  return { buffers, numbers }
}

/** How many parameters a program takes. */
export function arityOf({ parameters }: Program): number {
  return parameters.trim().split(/\s+/).length
}

/** For each buffer the first one that must share its binding. */
function sharedBindings(signature: Signature, blocks: readonly Block[]): number[] {
  const same = (i: number, j: number): boolean =>
    blocks[i].id === blocks[j].id && blocks[i].offset === blocks[j].offset
  const { buffers } = signature
  return buffers.map((_, i) => {
    const written = buffers.some(({ written: w }, j) => w && same(i, j))
    return written ? buffers.findIndex((_, j) => same(i, j)) : i
  })
}

interface Binding {
  readonly name: string
  readonly element: string
  readonly written: boolean
}

function bindingsOf({ buffers }: Signature, shared: readonly number[]): Binding[] {
  return buffers
    .map(({ name, element }, i) => ({
      name,
      element,
      written: buffers.some(({ written }, j) => written && shared[j] === i),
    }))
    .filter((_, i) => shared[i] === i)
}

/** Replaces buffers that stand for the binding of another: names before a bracket, no fields. */
function renamed(code: string, signature: Signature, shared: readonly number[]): string {
  return signature.buffers.reduce(
    (text, { name }, i) =>
      shared[i] === i
        ? text
        : text.replace(
            new RegExp(`(?<![.\\w])${name}\\[`, 'g'),
            `${signature.buffers[shared[i]].name}[`,
          ),
    code,
  )
}

/** The WGSL of a program with the given buffers sharing bindings. */
export function moduleOf(program: Program, shared?: readonly number[]): string {
  const signature = signatureOf(program.parameters)
  const groups = shared ?? signature.buffers.map((_, i) => i)
  const { size = DEFAULT_SIZE, uses = [], threads } = program
  const fields = signature.numbers.map(({ name, type }) => `${name}: ${type},`).join(' ')
  const buffers = bindingsOf(signature, groups).map(
    ({ name, element, written }, i) =>
      `@group(1) @binding(${i}) var<storage, ${written ? 'read_write' : 'read'}> ` +
      `${name}: array<${element}>;`,
  )
  const body = [...new Set(uses), ''].join('\n')
  return `
struct Parameters { limit: u32, ${fields} }
@group(0) @binding(0) var<uniform> p: Parameters;
${buffers.join('\n')}
const SIZE = ${size}u;
${renamed(body, signature, groups)}
@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) group_id: vec3u, @builtin(num_workgroups) group_count: vec3u,
    @builtin(local_invocation_index) lane: u32) {
  let group = group_id.x + group_id.y * group_count.x;
  ${threads ? 'let thread = group * SIZE + lane;' : ''}
  if (${threads ? 'thread' : 'group'} >= p.limit) { return; }
  ${renamed(program.code, signature, groups)}
}`
}

/** A compiled program: one pipeline for each way in which its buffers coincide. */
export class CompiledProgram {
  readonly #device: GPUDevice
  readonly #commands: Commands
  readonly #layouts: Layouts
  readonly #program: Program
  readonly #signature: Signature
  readonly #bindingLimit: number
  readonly #executables: Map<string, Executable> = new Map()

  constructor(
    device: GPUDevice,
    commands: Commands,
    layouts: Layouts,
    bindingLimit: number,
    program: Program,
  ) {
    this.#device = device
    this.#commands = commands
    this.#layouts = layouts
    this.#bindingLimit = bindingLimit
    this.#program = program
    this.#signature = signatureOf(program.parameters)
  }

  run(parameters: readonly Argument[]): void {
    const { buffers, numbers } = this.#signature
    const { threads, groups, size = DEFAULT_SIZE } = this.#program
    const named: Record<string, number> = {}
    for (const { name, at } of numbers) {
      named[name] = parameters[at] as number
    }
    const limit = threads ? threads(named) : (groups?.(named) ?? 1)
    const count = threads ? Math.ceil(limit / size) : limit
    if (count === 0) {
      return
    }
    const blocks = buffers.map(({ at }) => parameters[at] as Block)
    this.#checkSizes(blocks)
    const shared = sharedBindings(this.#signature, blocks)
    const executable = this.#executable(shared)
    const slot = this.#commands.slot()
    slot.u32[slot.at] = limit
    numbers.forEach(({ name, type }, i) => {
      slot[type][slot.at + 1 + i] = named[name]
    })
    const bound = blocks.filter((_, i) => shared[i] === i)
    this.#commands.dispatch(executable, bound, slot, count)
  }

  #checkSizes(blocks: readonly Block[]): void {
    for (const { bytes } of blocks) {
      if (bytes > this.#bindingLimit) {
        throw new LowrankError(
          'memory',
          `webgpu: a kernel of this device sees at most ${this.#bindingLimit} bytes of one tensor, ` +
            `got ${bytes} (frozen matrices are split; use a smaller batch, or the wasm backend)`,
        )
      }
    }
  }

  #executable(shared: readonly number[]): Executable {
    const key = shared.join()
    const known = this.#executables.get(key)
    if (known) {
      return known
    }
    const written = bindingsOf(this.#signature, shared).map(binding => binding.written)
    const { layout, pipelineLayout } = this.#layouts.of(written)
    const module = this.#device.createShaderModule({ code: moduleOf(this.#program, shared) })
    const pipeline = this.#device.createComputePipeline({
      layout: pipelineLayout,
      compute: { module, entryPoint: 'main' },
    })
    const executable = { pipeline, layout, id: this.#layouts.nextId() }
    this.#executables.set(key, executable)
    return executable
  }
}

interface Layout {
  readonly layout: GPUBindGroupLayout
  readonly pipelineLayout: GPUPipelineLayout
}

/** One layout for each sequence of read and written buffers. */
export class Layouts {
  readonly #device: GPUDevice
  readonly #parameterLayout: GPUBindGroupLayout
  readonly #known: Map<string, Layout> = new Map()
  #ids = 0

  constructor(device: GPUDevice, parameterLayout: GPUBindGroupLayout) {
    this.#device = device
    this.#parameterLayout = parameterLayout
  }

  nextId(): number {
    return this.#ids++
  }

  of(written: readonly boolean[]): Layout {
    const key = written.join()
    const known = this.#known.get(key)
    if (known) {
      return known
    }
    const layout = this.#device.createBindGroupLayout({
      entries: written.map((writes, binding) => ({
        binding,
        visibility: 4,
        buffer: { type: writes ? 'storage' : 'read-only-storage' },
      })),
    })
    const pipelineLayout = this.#device.createPipelineLayout({
      bindGroupLayouts: [this.#parameterLayout, layout],
    })
    const made = { layout, pipelineLayout }
    this.#known.set(key, made)
    return made
  }
}
