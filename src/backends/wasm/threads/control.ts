// What the threads of one backend share beside the WASM memory: a few words that are only touched
// atomically, and the work in hand. The worker's program (worker_source.ts) reads the same places.

/** Int32 words. */
export const CLAIM = 0 // number of the work << 8 | chunks that nobody has taken yet
export const DONE = 1 // chunks of this work that workers have finished
export const MAIL = 2 // messages sent: a worker that has seen fewer goes to read them
export const SLEEPERS = 3 // workers that wait to be woken
export const FAILED = 4 // chunks that ended in an error
export const UNITS = 5 // rows that workers have computed since the start
export const LOADED = 8 // per worker: messages it has read
export const WORDS = 64

/** The most workers beside the caller. */
export const MOST_WORKERS = 32

/** Float64 numbers of the work in hand, after the words. */
export const KERNEL = 0 // number of the kernel
export const COUNT = 1 // which operand is the number of units
export const SCRATCH = 2 // which operand is scratch, or −1
export const MOVES = 3 // how many (operand, step) pairs follow the operands
export const OPERANDS = 4 // how many operands there are
export const FIRST = 5 // the operands, then the pairs
export const STARTS = 96 // per chunk: its first unit; after the last chunk, how many units there are
export const OWN_SCRATCH: number = STARTS + 2 * (MOST_WORKERS + 1) + 1 // per worker: where its scratch is
export const NUMBERS: number = OWN_SCRATCH + MOST_WORKERS
