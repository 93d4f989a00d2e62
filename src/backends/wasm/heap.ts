// An allocator for the one WASM memory: two-level segregated fit. Blocks of a size class are kept in
// a list; two bit maps find the first class that is large enough; a freed block merges with its free
// neighbours. Allocating and freeing take constant time, and so do their bytes: a training run ends
// with the memory it had after its first step. All bookkeeping is on the JavaScript side.
// Source: Masmano, Ripoll, Crespo, Real, "TLSF: a new dynamic memory allocator for real-time
// systems" (ECRTS 2004).

import { LowrankError } from '../../core/errors.ts'

/** Every block starts at a multiple of this, the length of a cache line. */
export const ALIGNMENT = 64

const PAGE = 65536
/** What 32-bit addresses reach. */
const MOST_BYTES = 65536 * PAGE
const SUBCLASS_BITS = 4
const SUBCLASSES = 1 << SUBCLASS_BITS
const CLASSES = 28

interface Block {
  offset: number
  size: number
  free: boolean
  /** Neighbours in memory. */
  before: Block | undefined
  after: Block | undefined
  /** Neighbours in the list of free blocks of one size. */
  previous: Block | undefined
  next: Block | undefined
}

/** Size classes: units of ALIGNMENT, one class per octave, 16 subclasses in each. */
function classOf(units: number): number {
  if (units < SUBCLASSES) {
    return units
  }
  const octave = 31 - Math.clz32(units)
  const subclass = (units >>> (octave - SUBCLASS_BITS)) & (SUBCLASSES - 1)
  return (octave - SUBCLASS_BITS + 1) * SUBCLASSES + subclass
}

/** The units to look for so that any block of the class found is large enough. */
function roundedUp(units: number): number {
  if (units < SUBCLASSES) {
    return units
  }
  const octave = 31 - Math.clz32(units)
  return units + (1 << (octave - SUBCLASS_BITS)) - 1
}

export class Heap {
  readonly #memory: WebAssembly.Memory
  readonly #lists: (Block | undefined)[] = new Array(CLASSES * SUBCLASSES).fill(undefined)
  readonly #octaves: Int32Array = new Int32Array(CLASSES)
  readonly #blocks: Map<number, Block> = new Map()
  #last: Block
  #used = 0
  #peak = 0

  /** Manages `memory` from byte `start` on. */
  constructor(memory: WebAssembly.Memory, start: number) {
    this.#memory = memory
    const offset = Math.ceil(start / ALIGNMENT) * ALIGNMENT
    this.#last = this.#block(offset, memory.buffer.byteLength - offset, undefined)
    this.#insert(this.#last)
  }

  get used(): number {
    return this.#used
  }

  get peak(): number {
    return this.#peak
  }

  resetPeak(): void {
    this.#peak = this.#used
  }

  /** The byte offset of a block of at least `bytes`; memory grows where no free block fits. Throws a `memory` error. */
  allocate(bytes: number): number {
    // Size classes are computed in 32 bits.
    if (bytes > MOST_BYTES) {
      throw new LowrankError(
        'memory',
        `wasm: one tensor of ${bytes} bytes was asked for, but the memory holds at most ${MOST_BYTES} ` +
          '(smaller batches or shorter sequences need less)',
      )
    }
    const units = Math.max(1, Math.ceil(bytes / ALIGNMENT))
    let block = this.#find(roundedUp(units))
    if (!block) {
      // The last block may be large enough and yet of a class that was passed over.
      if (!this.#last.free || this.#last.size < units * ALIGNMENT) {
        this.#grow(units * ALIGNMENT)
      }
      block = this.#last
    }
    this.#remove(block)
    this.#split(block, units * ALIGNMENT)
    block.free = false
    this.#blocks.set(block.offset, block)
    this.#used += block.size
    this.#peak = Math.max(this.#peak, this.#used)
    return block.offset
  }

  free(offset: number): void {
    let block = this.#blocks.get(offset)
    if (!block) {
      throw new LowrankError('memory', `heap: no block starts at byte ${offset} (freed twice?)`)
    }
    this.#blocks.delete(offset)
    this.#used -= block.size
    block.free = true
    if (block.after?.free) {
      this.#remove(block.after)
      this.#merge(block, block.after)
    }
    if (block.before?.free) {
      this.#remove(block.before)
      this.#merge(block.before, block)
      block = block.before
    }
    this.#insert(block)
  }

  #block(offset: number, size: number, before: Block | undefined): Block {
    return {
      offset,
      size,
      free: true,
      before,
      after: undefined,
      previous: undefined,
      next: undefined,
    }
  }

  #grow(bytes: number): void {
    const room = this.#last.free ? this.#last.size : 0
    const pages = Math.ceil((bytes - room) / PAGE)
    const end = this.#memory.buffer.byteLength
    try {
      this.#memory.grow(pages)
    } catch (cause) {
      throw new LowrankError(
        'memory',
        `wasm: ${this.#used} bytes are in use and ${bytes} more were asked for, but the memory ` +
          `cannot grow beyond ${end} bytes (smaller batches or shorter sequences need less)`,
        { cause },
      )
    }
    const added = this.#block(end, pages * PAGE, this.#last)
    if (this.#last.free) {
      this.#remove(this.#last)
      this.#merge(this.#last, added)
    } else {
      this.#last.after = added
      this.#last = added
    }
    this.#insert(this.#last)
  }

  #split(block: Block, size: number): void {
    if (block.size - size < ALIGNMENT) {
      return
    }
    const rest = this.#block(block.offset + size, block.size - size, block)
    rest.after = block.after
    if (rest.after) {
      rest.after.before = rest
    }
    block.after = rest
    block.size = size
    if (this.#last === block) {
      this.#last = rest
    }
    this.#insert(rest)
  }

  #merge(block: Block, after: Block): void {
    block.size += after.size
    block.after = after.after
    if (block.after) {
      block.after.before = block
    }
    if (this.#last === after) {
      this.#last = block
    }
  }

  #find(units: number): Block | undefined {
    const wanted = classOf(units)
    const octave = wanted >>> SUBCLASS_BITS
    const within = this.#octaves[octave] & (-1 << (wanted & (SUBCLASSES - 1)))
    if (within !== 0) {
      return this.#lists[octave * SUBCLASSES + lowestBit(within)]
    }
    for (let above = octave + 1; above < CLASSES; above++) {
      if (this.#octaves[above] !== 0) {
        return this.#lists[above * SUBCLASSES + lowestBit(this.#octaves[above])]
      }
    }
    return undefined
  }

  #insert(block: Block): void {
    const index = classOf(Math.floor(block.size / ALIGNMENT))
    const first = this.#lists[index]
    block.previous = undefined
    block.next = first
    if (first) {
      first.previous = block
    }
    this.#lists[index] = block
    this.#octaves[index >>> SUBCLASS_BITS] |= 1 << (index & (SUBCLASSES - 1))
  }

  #remove(block: Block): void {
    const index = classOf(Math.floor(block.size / ALIGNMENT))
    if (block.next) {
      block.next.previous = block.previous
    }
    if (block.previous) {
      block.previous.next = block.next
      return
    }
    this.#lists[index] = block.next
    if (!block.next) {
      this.#octaves[index >>> SUBCLASS_BITS] &= ~(1 << (index & (SUBCLASSES - 1)))
    }
  }
}

function lowestBit(word: number): number {
  return 31 - Math.clz32(word & -word)
}
