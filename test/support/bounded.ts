// The reference backend with buffers that refuse what is outside them: typed arrays ignore such a
// write and answer such a read with `undefined`, which a sum or a loop may never show. What is not
// written yet is NaN, and scratch is no longer than what was asked for.

import { reference } from '../../src/backends/reference/index.ts'
import type { Backend, Floats, KernelSet } from '../../src/core/backend.ts'
import type { DType } from '../../src/core/dtype.ts'

type Buffer = Float64Array | Int32Array
type Kernel = (...operands: unknown[]) => unknown

function position(buffer: Buffer, key: string, kernel: string): number {
  const index = Number(key)
  if (!(Number.isInteger(index) && index >= 0 && index < buffer.length)) {
    throw new RangeError(`${kernel}: element ${key} of ${buffer.length}`)
  }
  return index
}

function bounded(operand: unknown, kernel: string): unknown {
  if (!(operand instanceof Float64Array || operand instanceof Int32Array)) {
    return operand
  }
  return new Proxy(operand, {
    get(buffer, key) {
      return key === 'length' ? buffer.length : buffer[position(buffer, String(key), kernel)]
    },
    set(buffer, key, value) {
      buffer[position(buffer, String(key), kernel)] = value
      return true
    },
  })
}

/** The same kernels, with operands that refuse what is outside them. */
function boundedKernels<K>(kernels: K): K {
  const own = Object.entries(kernels as Record<string, Kernel>)
  const wrapped = own.map(([name, kernel]): [string, Kernel] => [
    name,
    (...operands) => kernel(...operands.map(operand => bounded(operand, name))),
  ])
  return Object.fromEntries(wrapped) as K
}

/** A reference backend on which a loop that leaves its buffers throws. */
export function boundedReference(): Backend {
  const backend = reference()
  const { allocate } = backend
  backend.kernels = <K>(set: KernelSet<K>): K => boundedKernels(set.reference)
  backend.allocate = (dtype: DType, count: number): Floats => {
    const buffer = allocate.call(backend, dtype, count)
    return dtype === 'int32' ? buffer : (buffer as Float64Array).fill(Number.NaN)
  }
  backend.scratch = (count: number): Floats => new Float64Array(count).fill(Number.NaN)
  return backend
}
