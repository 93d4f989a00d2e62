// Parameters made of results. Where a backend cannot be read at once the elements stay where they were
// computed; elsewhere JavaScript owns them until they are used, as of any other parameter.

import { Parameter } from '../core/parameter.ts'
import { scoped } from '../core/scope.ts'
import { noGrad } from '../core/tape.ts'
import type { Tensor } from '../core/tensor.ts'
import { cast } from '../ops/cast.ts'
import { mul } from '../ops/mul.ts'

/** A trained float32 parameter with the elements of what `compute` gives. */
export function madeParameter(compute: () => Tensor): Parameter {
  const result = noGrad(() => scoped(() => cast(compute(), 'float32')))
  const { backend, shape } = result
  if (backend.synchronous) {
    return new Parameter(result.dataSync(), shape, { backend })
  }
  const made = new Parameter(() => [], shape, { backend })
  made.storage = result.storage
  return made
}

/** A trained float32 copy of a parameter. */
export function copied(parameter: Parameter, stored?: ArrayLike<number>): Parameter {
  const { backend, shape } = parameter
  if (stored || backend.synchronous) {
    return new Parameter(stored ?? parameter.dataSync(), shape, { backend })
  }
  // Times one, so that the result is never the parameter itself.
  return madeParameter(() => mul(cast(parameter, 'float32'), 1))
}
