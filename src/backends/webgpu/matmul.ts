// Products of parts of matrices (src/ops/matmul.ts). Tile and split are chosen by rules on the shape, the
// text by how the operands lie and how b is stored; a b that is larger than one binding is taken part by
// part. A product of few elements and a long sum, x·Aᵀ of a low-rank update above all, would leave most of
// a device idle: K is split among more threads, whose results are added up afterwards, always in the same order.

import { forParts } from './embedding.ts'
import type { KernelSource, KernelSources, Machine } from './machine.ts'
import { type ProductShape, productProgram, sumOfParts, type Variant } from './matmul_program.ts'
import type { Block } from './pool.ts'
import type { Argument, Program } from './program.ts'

const programs: Map<string, Program> = new Map()

function programFor(shape: ProductShape): Program {
  const { variant, height, width, across, aligned, format } = shape
  const { a, b, c } = aligned
  const key = [variant, height, width, across, a, b, c, format].join()
  const known = programs.get(key)
  if (known) {
    return known
  }
  const made = productProgram(shape)
  programs.set(key, made)
  return made
}

/** From here on 8 × 8 tiles leave enough threads to keep a device busy. */
const LARGE = 131072

/** Tile and threads: 8 × 8 where there is enough of both sides, narrow workgroups for narrow results. */
export function tileFor(M: number, N: number): { size: number; across: number } {
  const size = M * N >= LARGE && M >= 64 && N >= 64 ? 8 : 4
  const tiles = Math.ceil(N / size)
  let across = 1
  while (across < 8 && across < tiles) {
    across *= 2
  }
  return { size, across }
}

/** Threads that are worth having, the shortest sum worth a thread, and the fewest parts worth a sum. */
const [ENOUGH, SHORTEST, FEWEST] = [8192, 128, 4]

/** Steps of K that one thread takes: all, unless there would be few threads; a multiple of four. */
export function shareOf(M: number, N: number, K: number): number {
  const threads = Math.ceil(M / 4) * Math.ceil(N / 4)
  const parts = Math.floor(Math.min(ENOUGH / Math.max(threads, 1), K / SHORTEST))
  return parts < FEWEST ? Math.max(K, 1) : Math.ceil(K / parts / 4) * 4
}

/** The arguments of a product by their places in the parameter list. */
const [A_OFFSET, A_STRIDE, B, B_OFFSET, B_STRIDE, FORMAT, C] = [1, 2, 3, 4, 5, 6, 7]
const [C_OFFSET, C_STRIDE, ROWS, COLUMNS, DEPTH, ALPHA, ACCUMULATE] = [8, 9, 10, 11, 12, 13, 14]

function shapeOf(variant: Variant, parameters: readonly Argument[]): ProductShape {
  const numbers = parameters as readonly number[]
  const fours = (...places: number[]): boolean => places.every(at => numbers[at] % 4 === 0)
  const { size, across } = tileFor(numbers[ROWS], numbers[COLUMNS])
  return {
    variant,
    height: size,
    width: size,
    across,
    aligned: {
      a: fours(A_OFFSET, A_STRIDE),
      b: fours(B_OFFSET, B_STRIDE),
      c: fours(C_OFFSET, C_STRIDE, COLUMNS),
    },
    format: numbers[FORMAT],
  }
}

/** One product of all of K, or parts [K / share, M, N] and their sum. */
function run(machine: Machine, variant: Variant, parameters: readonly Argument[]): void {
  const numbers = parameters as readonly number[]
  const [M, N, K] = [ROWS, COLUMNS, DEPTH].map(at => numbers[at])
  const share = shareOf(M, N, K)
  if (share >= K) {
    machine.program(programFor(shapeOf(variant, parameters)))(...parameters, share)
    return
  }
  const count = Math.ceil(K / share)
  machine.withRoom(count * M * N, room => {
    const own = [...parameters]
    own[C] = room
    own[C_OFFSET] = 0
    own[C_STRIDE] = N
    own[ALPHA] = 1
    own[ACCUMULATE] = 0
    machine.program(programFor(shapeOf(variant, own)))(...own, share)
    machine.program(sumOfParts)(room, count, ...parameters.slice(C))
  })
}

/** Rows of b are columns of the result (nt) or steps of K (nn). */
function runParts(machine: Machine, variant: Variant, parameters: readonly Argument[]): void {
  const numbers = parameters as readonly number[]
  const rows = variant === 'nt' ? numbers[COLUMNS] : numbers[DEPTH]
  const rowBytes = numbers[B_STRIDE] * (numbers[FORMAT] === 0 ? 4 : 2)
  forParts(parameters[B] as Block, rows, rowBytes, machine.bindingLimit, (part, first, count) => {
    const own = [...parameters]
    own[B] = part
    if (variant === 'nt') {
      own[COLUMNS] = count
      own[C_OFFSET] = numbers[C_OFFSET] + first
    } else {
      const step = variant === 'nn' ? 1 : numbers[A_STRIDE]
      own[A_OFFSET] = numbers[A_OFFSET] + first * step
      own[DEPTH] = count
      own[ACCUMULATE] = first > 0 ? 1 : numbers[ACCUMULATE]
    }
    run(machine, variant, own)
  })
}

function product(variant: Variant): KernelSource {
  return machine =>
    (...parameters) => {
      const whole = (parameters[B] as Block).bytes <= machine.bindingLimit
      if (whole || parameters[B_OFFSET] !== 0) {
        run(machine, variant, parameters)
      } else {
        runParts(machine, variant, parameters)
      }
    }
}

export const matmulKernels: KernelSources = {
  matmul_nn: product('nn'),
  matmul_nt: product('nt'),
  matmul_tn: product('tn'),
}
