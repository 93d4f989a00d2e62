// Why adapters do not move, in one sentence per reason.

import type { Parameter } from '../core/parameter.ts'
import type { LoraState } from '../lora/state.ts'
import type { Watched } from './still_layers.ts'

async function isZero(parameter: Parameter): Promise<boolean> {
  return (await parameter.data()).every(value => value === 0)
}

/** Why neither A nor B can get a gradient, if their values say so. */
async function factorReason({ A, B }: LoraState): Promise<string | undefined> {
  const [zeroA, zeroB] = [await isZero(A), await isZero(B)]
  if (zeroA && zeroB) {
    return 'A and B are both zero, so neither gets a gradient'
  }
  if (zeroB && !B.requiresGrad) {
    return 'B is zero and not trained, so A gets no gradient'
  }
  if (zeroA && !A.requiresGrad) {
    return 'A is zero and not trained, so B gets no gradient'
  }
  return undefined
}

async function reasonOf({ layer, state, calls }: Watched): Promise<string> {
  if (layer.calls === calls) {
    return 'no forward pass reaches the layer'
  }
  if (state.scaling === 0) {
    return 'its scaling is 0 (loraAlpha)'
  }
  if (state.loraDropout >= 1) {
    return 'dropout drops all of its input'
  }
  return (await factorReason(state)) ?? 'the loss does not depend on it'
}

/** One sentence per reason, with the layers that it is true of. */
export async function explained(still: readonly Watched[], steps: number): Promise<string[]> {
  const byReason = new Map<string, string[]>()
  for (const one of still) {
    const reason = await reasonOf(one)
    const paths = byReason.get(reason) ?? []
    paths.push(`"${one.path}"${one.adapter === 'default' ? '' : ` (${one.adapter})`}`)
    byReason.set(reason, paths)
  }
  return [...byReason].map(
    ([reason, paths]) =>
      `finetune: after ${steps} steps the adapter of ${paths.join(', ')} has not moved: ${reason}`,
  )
}
