// The loops of the specification stay inside their buffers, and read nothing that was not written:
// every sample of an op, and of an optimizer, on a backend that refuses the rest.

import { afterEach, describe, expect, it } from 'vitest'
import { reference } from '../../src/backends/reference/index.ts'
import { fingerprintOptimizers } from '../../src/conformance/fingerprint_optimizers.ts'
import {
  draw,
  inputsOf,
  SAMPLES,
  type Sample,
  sampleName,
} from '../../src/conformance/samples/index.ts'
import { type Backend, setBackend, withBackend } from '../../src/core/backend.ts'
import { backward, step } from '../../src/core/tape.ts'
import { boundedReference } from '../support/bounded.ts'

/** Values and gradients of a sample. */
function outcome(sample: Sample, backend: Backend): ArrayLike<number>[] {
  return withBackend(backend, () => {
    const inputs = inputsOf(sample, draw(sample, 1), backend)
    const y = step(() => {
      const result = sample.call(...inputs)
      if (result.requiresGrad) {
        backward(result, result)
      }
      return result
    })
    return [y.dataSync(), ...inputs.map(({ grad }) => grad?.dataSync() ?? [])]
  })
}

describe('loops stay inside their buffers', () => {
  afterEach(() => {
    setBackend(undefined)
  })

  it.each(SAMPLES.map(sample => [sampleName(sample), sample] as const))('%s', (_, sample) => {
    expect(outcome(sample, boundedReference())).toEqual(outcome(sample, reference()))
  })

  it('every optimizer', async () => {
    setBackend(reference())
    const want = await fingerprintOptimizers(1)
    setBackend(boundedReference())
    expect(await fingerprintOptimizers(1)).toEqual(want)
  })
})
