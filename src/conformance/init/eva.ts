// EVA on layers whose inputs are stored: the components each one starts with, and who gets which rank.
// PEFT 0.21 divides components that layers share once for each of them; here each layer's are divided
// once, so that the stored ones are compared after the same further divisions.

import { scalingOf } from '../../lora/config.ts'
import { Eva, type LayerInputs } from '../../lora/init/eva.ts'
import type { Case, CaseJson } from '../case.ts'
import { type Answered, type Check, checkEqual, compareTensor } from '../compare.ts'
import { type Answer, stored } from '../kind.ts'
import { compareNumber } from '../numbers.ts'

function inputsOf(example: Case, batch: number): LayerInputs {
  const entries = Object.entries(example.json.layers as Record<string, string>)
  return new Map(
    entries.map(([path, name]) => {
      const { data, shape } = stored(example, `${name}.${batch}`)
      const cols = shape[shape.length - 1]
      return [path, { data: Float64Array.from(data), rows: data.length / cols, cols }]
    }),
  )
}

export function runEva(example: Case): Answer {
  const { r, rho, tau, whiten, layers, batches } = example.json
  const { lora_alpha, use_rslora, adjust_scaling_factors } = example.json
  const paths = Object.keys(layers)
  const eva = new Eva(new Map(paths.map(path => [path, r])), { rho, tau, whiten })
  for (let i = 0; i < 1000 && !eva.settled(); i++) {
    eva.add(inputsOf(example, i % batches))
  }
  const tensors: Record<string, Answered> = {}
  const ranks: Record<string, number> = {}
  const scaling: Record<string, number | null> = {}
  for (const [path, start] of eva.result()) {
    const cols = start.r > 0 ? start.A.length / start.r : 0
    const again = (example.json.whitenings?.[path] ?? 1) - 1
    const divisor = start.singularValues.map(value => Math.sqrt(value))
    const A = start.A.map((value, at) => {
      const by = divisor[Math.floor(at / cols)]
      return Array.from({ length: again }).reduce((left: number) => left / by, value)
    })
    tensors[`${path}.lora_A`] = { shape: [start.r, cols], data: A }
    ranks[path] = start.r
    const alpha = adjust_scaling_factors ? (lora_alpha * start.r) / r : lora_alpha
    scaling[path] = start.r > 0 ? scalingOf(start.r, alpha, use_rslora === true) : null
  }
  return { tensors, json: { ranks, scaling } }
}

/** Orders of multiplying and dividing differ by roundings. */
const ROUNDINGS = 1e-12

function compareScaling(json: CaseJson, answer: Answer): Check[] {
  const got = (answer.json?.scaling ?? {}) as Record<string, number | null>
  return Object.entries(json.scaling as Record<string, number | null>).map(([path, want]) => {
    const what = `scaling of ${path}`
    return want === null
      ? checkEqual(what, got[path], null)
      : compareNumber(what, got[path], want, ROUNDINGS)
  })
}

export function compareEva({ json, tensors, ...example }: Case, answer: Answer): Check[] {
  const wanted = [...tensors.keys()].filter(name => name.endsWith('.lora_A'))
  return [
    checkEqual('ranks', answer.json?.ranks, json.ranks),
    ...compareScaling(json, answer),
    ...wanted.map(name =>
      compareTensor(
        name,
        answer.tensors[name],
        stored({ json, tensors, ...example }, name),
        (json as CaseJson).tolerance.f32,
      ),
    ),
  ]
}
