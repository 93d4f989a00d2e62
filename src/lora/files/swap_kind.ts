// Whether one adapter can take the place of another: both are the same variant, and neither has anything
// beside A, B and vectors of the variant, which a swap could not write, or would leave behind.

import { LowrankError } from '../../core/errors.ts'
import type { Module } from '../../nn/module.ts'
import { holdersIn, type LoraLayer } from '../adapters.ts'
import { LoraModule } from '../module.ts'
import type { LoraState } from '../state.ts'
import { isSame, type ReadAdapter, startOf } from './peft.ts'
import { carriedWeights } from './peft_tensors.ts'

interface Kind {
  /** What it computes with A and B. */
  readonly update: string
  /** What it has besides. */
  readonly beside: readonly string[]
}

const START = 'a start that was taken from the base'
const PARTS = 'whole modules, biases or tokens'
const CARRIED = 'weights of the embedding or the output layer'

function updateName(variant: string | undefined, biased: boolean): string {
  return `${variant ?? 'plain LoRA'}${biased ? ' with biases of B' : ''}`
}

function present(parts: Readonly<Record<string, boolean>>): string[] {
  return Object.keys(parts).filter(name => parts[name])
}

function kindHere(model: Module, layers: readonly LoraLayer[], name: string): Kind {
  const states = layers.map(({ layer }) => layer.adapters.get(name) as LoraState)
  const holders = holdersIn(model).filter(({ holder }) => !(holder instanceof LoraModule))
  const held = holders.some(({ holder }) => holder.names().includes(name))
  return {
    update: updateName(
      states[0].variant?.name,
      states.some(({ bias }) => bias),
    ),
    beside: present({
      [START]: states.some(({ start }) => start),
      [PARTS]: held || states.some(({ own }) => own),
    }),
  }
}

async function kindRead(model: Module, { made, stored, extensions }: ReadAdapter): Promise<Kind> {
  const { config, layers, parts } = made
  let carried = false
  for (const { key, parameter } of carriedWeights(model, config)) {
    const data = stored.get(key)
    carried ||= data !== undefined && !(await isSame(data, parameter))
  }
  return {
    update: updateName(layers[0]?.variant?.name, config.loraBias),
    beside: present({
      [START]: layers.slice(0, 1).some(layer => startOf(layer, made, extensions)),
      [PARTS]: parts.length > 0,
      [CARRIED]: carried,
    }),
  }
}

function inWords({ update, beside }: Kind): string {
  return [update, ...beside].join(' with ')
}

/** Throws a `target` error unless what was read can take the place of an adapter of these layers. */
export async function checkSameKind(
  where: string,
  model: Module,
  layers: readonly LoraLayer[],
  name: string,
  read: ReadAdapter,
): Promise<void> {
  const before = kindHere(model, layers, name)
  const next = await kindRead(model, read)
  if (before.update !== next.update || before.beside.length + next.beside.length > 0) {
    throw new LowrankError(
      'target',
      `${where}: expected an adapter like the one that it replaces, with low-rank updates alone: ` +
        `there is ${inWords(before)}, got ${inWords(next)} (load it under another name)`,
    )
  }
}
