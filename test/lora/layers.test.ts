// PEFT's LoRA layers around a frozen linear layer, on every backend (golden family `layers`).

import { backward, noGrad, step, type Tensor, tensor, withBackend } from 'lowrank'
import { LoraModule, type LoraState, mergedLayer } from 'lowrank/lora'
import { Linear } from 'lowrank/nn'
import { describe, expect, it } from 'vitest'
import type { Backend } from '../../src/core/backend.ts'
import { narrow } from '../../src/core/half.ts'
import { Parameter } from '../../src/core/parameter.ts'
import { backends } from '../support/backends.ts'
import { type GoldenCase, type GoldenTensor, goldenCases, scaledError } from '../support/fixture.ts'

const cases = goldenCases('layers').filter(({ json }) => {
  const adapters = Object.values(json.adapters) as { use_dora: boolean }[]
  return json.kind === 'linear' && !adapters.some(({ use_dora }) => use_dora)
})

function parameter(stored: GoldenTensor, dtype: 'float32' | 'float16' | 'bfloat16'): Parameter {
  const data = dtype === 'float32' ? stored.data : narrow(stored.data, dtype)
  return new Parameter(data, stored.shape, { dtype })
}

function layerOf({ json, tensors }: GoldenCase): LoraModule {
  const need = (name: string): GoldenTensor => tensors.get(name) as GoldenTensor
  const dtype = json.dtype ?? 'float32'
  const base = new Linear(json.layer.din, json.layer.dout, { bias: tensors.has('base.bias') })
  base.weight = parameter(need('base.weight'), dtype)
  base.weight.freeze()
  if (base.bias) {
    base.bias = parameter(need('base.bias'), dtype)
  }
  const layer = new LoraModule(base)
  const names = Object.keys(json.adapters)
  for (const name of names) {
    const prefix = names.length > 1 ? `${name}.` : ''
    const { r, lora_alpha, scaling, lora_bias } = json.adapters[name]
    const state: LoraState = {
      r,
      loraAlpha: lora_alpha,
      scaling,
      loraDropout: 0,
      A: parameter(need(`${prefix}lora_A`), 'float32'),
      B: parameter(need(`${prefix}lora_B`), 'float32'),
      bias: lora_bias ? parameter(need(`${prefix}lora_B.bias`), 'float32') : undefined,
    }
    layer.adapters.set(name, state)
  }
  layer.active = json.active ?? names
  return layer
}

function check(
  { name, json, tensors }: GoldenCase,
  backend: Backend,
  got: Tensor | undefined,
  want: string,
): void {
  if (tensors.has(want)) {
    const tolerance = json.tolerance[backend.precision === 64 ? 'f64' : 'f32']
    const error = scaledError(got?.dataSync() ?? [], (tensors.get(want) as GoldenTensor).data)
    expect(error, `${name}: ${want}`).toBeLessThanOrEqual(tolerance)
  }
}

function checkGradients(golden: GoldenCase, backend: Backend, layer: LoraModule, x: Tensor): void {
  const dy = golden.tensors.get('dy') as GoldenTensor
  const y = step(() => {
    const output = layer.forward(x)
    backward(output, tensor(dy.data, dy.shape))
    return output
  })
  check(golden, backend, y, 'y')
  check(golden, backend, x.grad, 'd_x')
  check(golden, backend, layer.base.bias?.grad, 'd_base.bias')
  for (const [name, state] of layer.adapters) {
    const prefix = layer.adapters.size > 1 ? `d_${name}.` : 'd_'
    check(golden, backend, state.A.grad, `${prefix}lora_A`)
    check(golden, backend, state.B.grad, `${prefix}lora_B`)
    check(golden, backend, state.bias?.grad, `${prefix}lora_B.bias`)
  }
}

function bitsAway(
  got: ArrayLike<number>,
  want: ArrayLike<number>,
): { equal: number; most: number } {
  let equal = 0
  let most = 0
  for (let i = 0; i < got.length; i++) {
    equal += got[i] === want[i] ? 1 : 0
    most = Math.max(most, Math.abs(got[i] - want[i]))
  }
  return { equal: equal / got.length, most }
}

describe.each(backends)('layers on $name', ({ make }) => {
  it.each(cases.filter(({ json }) => !json.dtype && !json.adapter_names))('$name', golden => {
    const backend = make()
    withBackend(backend, () => {
      const stored = golden.tensors.get('x') as GoldenTensor
      const x = tensor(stored.data, stored.shape, { requiresGrad: true })
      const layer = layerOf(golden)
      check(golden, backend, layer.forward(x, { adapter: null }), 'y_base')
      checkGradients(golden, backend, layer, x)
      if (golden.json.mergeable) {
        const merged = mergedLayer(layer)
        check(golden, backend, merged.weight, 'merged.weight')
        check(golden, backend, merged.bias, 'merged.bias')
        check(
          golden,
          backend,
          noGrad(() => merged.forward(x)),
          'y',
        )
      }
    })
  })

  it.each(cases.filter(({ json }) => json.adapter_names))('$name', golden => {
    const backend = make()
    withBackend(backend, () => {
      const stored = golden.tensors.get('x') as GoldenTensor
      const adapterNames = golden.json.adapter_names
      const y = layerOf(golden).forward(tensor(stored.data, stored.shape), { adapterNames })
      check(golden, backend, y, 'y')
    })
  })

  it.each(cases.filter(({ json }) => json.dtype))('$name', golden => {
    const { json, tensors } = golden
    withBackend(make(), () => {
      const stored = tensors.get('x') as GoldenTensor
      const layer = layerOf(golden)
      const y = layer.forward(tensor(stored.data, stored.shape)).dataSync()
      const exact = (tensors.get('y_exact') as GoldenTensor).data
      expect(scaledError(y, (tensors.get('y') as GoldenTensor).data)).toBeLessThan(json.tolerance.y)
      // The adapter and the sums are float32 here, so y is nearer to the exact value than PEFT's.
      expect(scaledError(y, exact)).toBeLessThan(2e-6)
      const want = narrow((tensors.get('merged.weight') as GoldenTensor).data, json.dtype)
      const { equal, most } = bitsAway(mergedLayer(layer).weight.bits(), want)
      expect(equal).toBeGreaterThanOrEqual(json.tolerance.merged_bit_equal_fraction)
      expect(most).toBeLessThanOrEqual(json.tolerance.merged_ulp)
    })
  })
})
