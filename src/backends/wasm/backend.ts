// The WASM backend: f32 SIMD kernels in one memory. Buffers are byte offsets, so that the exports of
// a binary are the kernels themselves, without a layer in between. The default build multiplies and
// adds separately and gives the same bits on every runtime and CPU.

import type { Backend, Binary, Floats, KernelSet, MemoryReport } from '../../core/backend.ts'
import { BYTES, type DType, FORMAT, PANELS, type TypedArray } from '../../core/dtype.ts'
import { LowrankError } from '../../core/errors.ts'
import { Heap } from './heap.ts'

/** Kernels by name: the exports of a binary. */
export type Exports = Record<string, (...operands: number[]) => number>

/** Kernels of the core binary that the backend itself calls. */
interface PanelKernels {
  pack_panels(w: number, format: number, panels: number, rows: number, cols: number): void
  unpack_panels(panels: number, format: number, w: number, rows: number, cols: number): void
}

export interface WasmOptions {
  /** The binary with the core kernels. */
  readonly core: Binary
  /** The most bytes the memory may grow to, 256 KiB to 4 GiB; 4 GiB if absent. */
  readonly maximumBytes?: number
  /** Whether other threads see the memory. */
  readonly shared?: boolean
  /** Makes kernels of a binary; an instance of its module if absent. */
  readonly instantiate?: (binary: Binary, imports: KernelImports) => Exports
}

/** What binaries import: the one memory, and the core kernels where they call them. */
export interface KernelImports extends WebAssembly.Imports {
  readonly env: { readonly memory: WebAssembly.Memory }
  readonly core: Exports
}

const PAGE = 65536
/** Static data of the binaries lies below this. */
const HEAP_START = 65536
const INITIAL_PAGES = 4
const MAXIMUM_PAGES = 65536
const PANEL_WIDTH = 8

/** Buffers are byte offsets here; the types say what the reference loops index. */
const pointer = (buffer: Floats): number => buffer as unknown as number
const handle = (offset: number): Floats => offset as unknown as Floats

function instanceOf(binary: Binary, imports: KernelImports): Exports {
  return new WebAssembly.Instance(binary.module(), imports).exports as Exports
}

function checkMaximum(bytes: number): void {
  const [least, most] = [INITIAL_PAGES * PAGE, MAXIMUM_PAGES * PAGE]
  if (!Number.isInteger(bytes) || bytes < least || bytes > most) {
    throw new LowrankError(
      'argument',
      `wasm: maximumBytes: expected a whole number from ${least} to ${most}, got ${bytes}`,
    )
  }
}

export class WasmBackend implements Backend {
  readonly name: string = 'wasm'
  readonly reproducible: boolean = true
  readonly synchronous: boolean = true
  readonly precision = 32
  readonly #memory: WebAssembly.Memory
  readonly #heap: Heap
  readonly #exports: Exports = {}
  readonly #loaded: Set<string> = new Set()
  readonly #checked: WeakSet<object> = new WeakSet()
  readonly #instantiate: NonNullable<WasmOptions['instantiate']>
  #scratch = 0
  #scratchCount = 0

  constructor(options: WasmOptions) {
    const { shared, maximumBytes = MAXIMUM_PAGES * PAGE } = options
    checkMaximum(maximumBytes)
    const maximum = Math.floor(maximumBytes / PAGE)
    this.#memory = new WebAssembly.Memory({ initial: INITIAL_PAGES, maximum, shared })
    this.#instantiate = options.instantiate ?? instanceOf
    this.#heap = new Heap(this.#memory, HEAP_START)
    this.#load(options.core)
  }

  kernels<K>(set: KernelSet<K>): K {
    if (!this.#checked.has(set)) {
      if (set.binary && !this.#loaded.has(set.binary.name)) {
        this.#load(set.binary)
      }
      this.#check(set)
      this.#checked.add(set)
    }
    return this.#exports as K
  }

  allocate(dtype: DType, count: number): Floats {
    return handle(this.#heap.allocate(count * BYTES[dtype]))
  }

  release(buffer: Floats): void {
    this.#heap.free(pointer(buffer))
  }

  write(buffer: Floats, dtype: DType, data: TypedArray): void {
    this.#view(buffer, dtype, data.length).set(data)
  }

  read(buffer: Floats, dtype: DType, count: number): TypedArray {
    return this.#view(buffer, dtype, count).slice()
  }

  async readAsync(buffer: Floats, dtype: DType, count: number): Promise<TypedArray> {
    return this.read(buffer, dtype, count)
  }

  scratch(count: number): Floats {
    if (count > this.#scratchCount) {
      if (this.#scratchCount > 0) {
        this.#heap.free(this.#scratch)
        // Where the heap cannot grow, what was freed is nobody's scratch any more.
        this.#scratchCount = 0
      }
      this.#scratch = this.#heap.allocate(count * 4)
      this.#scratchCount = count
    }
    return handle(this.#scratch)
  }

  pack(buffer: Floats, dtype: DType, rows: number, cols: number): Floats {
    const panels = Math.ceil(rows / PANEL_WIDTH)
    const packed = this.#heap.allocate(panels * cols * PANEL_WIDTH * BYTES[dtype])
    const kernels = this.#exports as unknown as PanelKernels
    kernels.pack_panels(pointer(buffer), FORMAT[dtype], packed, rows, cols)
    return handle(packed)
  }

  unpack(buffer: Floats, dtype: DType, rows: number, cols: number, target: Floats): void {
    const kernels = this.#exports as unknown as PanelKernels
    const format = FORMAT[dtype] + PANELS
    kernels.unpack_panels(pointer(buffer), format, pointer(target), rows, cols)
  }

  memory(): MemoryReport {
    return {
      backend: this.name,
      reproducible: this.reproducible,
      used: this.#heap.used,
      peak: this.#heap.peak,
      reserved: this.#memory.buffer.byteLength,
    }
  }

  resetPeak(): void {
    this.#heap.resetPeak()
  }

  /** There is nothing to end: the memory goes with the backend. */
  dispose(): void {}

  #load(binary: Binary): void {
    try {
      const imports = { env: { memory: this.#memory }, core: this.#exports }
      Object.assign(this.#exports, this.#instantiate(binary, imports))
    } catch (cause) {
      throw new LowrankError(
        'backend',
        `wasm: the ${binary.name} kernels cannot be compiled here: ${(cause as Error).message} ` +
          "(a Content-Security-Policy needs 'wasm-unsafe-eval'; where nothing is compiled at run time, " +
          `pass lowrank/wasm/${binary.name}.wasm: wasm({ modules: { ${binary.name} } }))`,
        { cause },
      )
    }
    this.#loaded.add(binary.name)
  }

  #check<K>(set: KernelSet<K>): void {
    for (const kernel of Object.keys(set.reference as object)) {
      if (!this.#exports[kernel]) {
        throw new LowrankError('backend', `${set.name}: the wasm backend has no kernel "${kernel}"`)
      }
    }
  }

  // Views are made for each use: growing the memory detaches older ones.
  #view(buffer: Floats, dtype: DType, count: number): TypedArray {
    const memory = this.#memory.buffer
    if (dtype === 'float32') {
      return new Float32Array(memory, pointer(buffer), count)
    }
    if (dtype === 'int32') {
      return new Int32Array(memory, pointer(buffer), count)
    }
    return new Uint16Array(memory, pointer(buffer), count)
  }
}
