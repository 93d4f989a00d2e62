// A checkpoint runs a part of the model a second time, in backward, when the call that chose its adapters
// is over: what it uses then must be what it used before.

import {
  add,
  attach,
  backward,
  checkpoint,
  Linear,
  Module,
  manualSeed,
  mul,
  step,
  sum,
  type Tensor,
  tensor,
} from 'lowrank'
import {
  attach as attachAll,
  BASE_NAME,
  type LoraModule,
  withAdapter,
  withAdapterNames,
} from 'lowrank/lora'
import { describe, expect, it } from 'vitest'
import { withBackend } from '../../src/core/backend.ts'
import { backends } from '../support/backends.ts'

const x = (): Tensor => tensor([0.5, -1, 2, 1.5, 1, 0.25, -2, 1], [2, 4])

type Runner = (fn: (h: Tensor) => Tensor, h: Tensor) => Tensor

const RUNNERS: Readonly<Record<string, Runner>> = {
  plainly: (fn, h) => fn(h),
  once: (fn, h) => checkpoint(fn, [h]),
  nested: (fn, h) => checkpoint(inner => checkpoint(fn, [inner]), [h]),
}

const squared = (y: Tensor): Tensor => sum(mul(y, y))

/** Each adapter's gradients, by name; null where there are none. */
function gradientsOf(layer: LoraModule): (ArrayLike<number> | null)[] {
  return layer
    .names()
    .flatMap(name => layer.parametersOf(name).trained)
    .map(parameter => parameter.grad?.dataSync() ?? null)
}

function twoAdapters(): LoraModule<Linear> {
  manualSeed(2)
  const options = { r: 2, initLoraWeights: false }
  const layer = attach(new Linear(4, 3), options, { adapterName: 'a' })
  attach(layer, options, { adapterName: 'b' })
  layer.active = ['a', 'b']
  for (const name of layer.names()) {
    for (const parameter of layer.parametersOf(name).trained) {
      parameter.unfreeze()
    }
  }
  return layer
}

/** A module that checkpoints a part of itself. */
class Checkpointed extends Module {
  readonly run: Runner
  inner: Linear = new Linear(4, 4)

  constructor(run: Runner) {
    super()
    this.run = run
  }

  forward(h: Tensor): Tensor {
    return add(
      h,
      this.run(inner => this.inner.forward(inner), h),
    )
  }
}

class Model extends Module {
  head: Linear = new Linear(4, 4)
  body: Checkpointed

  constructor(run: Runner) {
    super()
    this.body = new Checkpointed(run)
  }

  forward(h: Tensor): Tensor {
    return this.body.forward(this.head.forward(h))
  }
}

describe.each(backends)('a checkpoint on $name', ({ make }) => {
  it.each([
    ['one adapter', fn => withAdapter('b', fn)],
    ['none but the last', fn => withAdapter(['b'], () => withAdapter(null, fn))],
    ['an adapter for each row', fn => withAdapterNames(['b', BASE_NAME], fn)],
    ['the default ones', fn => fn()],
  ] satisfies [string, (fn: () => Tensor) => Tensor][])(
    'goes back through the adapters of its call: %s',
    (_, choose) => {
      const outcomes = Object.values(RUNNERS).map(run =>
        withBackend(make(), () => {
          const layer = twoAdapters()
          const y = step(() => {
            const loss = squared(choose(() => run(h => layer.forward(h), x())))
            // Another choice than that of the call is around backward.
            withAdapter('a', () => {
              if (loss.requiresGrad) {
                backward(loss)
              }
            })
            return loss
          })
          return { y: y.dataSync(), gradients: gradientsOf(layer) }
        }),
      )
      expect(outcomes[1]).toEqual(outcomes[0])
      expect(outcomes[2]).toEqual(outcomes[0])
    },
  )

  it('inside a module that the adapter has a version of trains the version', () => {
    const outcomes = Object.values(RUNNERS).map(run =>
      withBackend(make(), () => {
        manualSeed(3)
        const model = new Model(run)
        attachAll(model, { r: 2, targetModules: ['head'], modulesToSave: ['body'] })
        step(() => backward(squared(model.forward(x()))))
        return model.trainable().map(parameter => parameter.grad?.dataSync() ?? null)
      }),
    )
    expect(outcomes[0].length).toBe(4)
    expect(outcomes[0]).not.toContain(null)
    expect(outcomes[1]).toEqual(outcomes[0])
    expect(outcomes[2]).toEqual(outcomes[0])
  })
})
