// Which backend owns what is made.

import { afterEach, describe, expect, it } from 'vitest'
import { reference } from '../../src/backends/reference/index.ts'
import {
  commonBackend,
  currentBackend,
  memory,
  setBackend,
  withBackend,
} from '../../src/core/backend.ts'

describe('the backend of new tensors', () => {
  afterEach(() => {
    setBackend(undefined)
  })

  it('is the chosen one until it is taken back', () => {
    const standard = currentBackend()
    const chosen = reference()
    setBackend(chosen)
    expect(currentBackend()).toBe(chosen)
    expect(memory()).toEqual(chosen.memory())
    expect(commonBackend('test', [])).toBe(chosen)
    setBackend(undefined)
    expect(currentBackend()).toBe(standard)
  })

  it('is the one before where a function fails', () => {
    const [outer, inner] = [reference(), reference()]
    setBackend(outer)
    const fail = (): never => {
      throw new Error(currentBackend() === inner ? 'inside' : 'outside')
    }
    expect(() => withBackend(inner, fail)).toThrow('inside')
    expect(currentBackend()).toBe(outer)
  })
})
