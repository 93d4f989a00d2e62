// `targetParameters`: updates of parameters by name rather than of layers. A name that is the weight of a
// layer means the layer. PEFT's other use, matrices of experts in one tensor of three axes, needs a model
// that has such; here there is none (PEFT 0.21, `ParamWrapper`).

import type { ResolvedConfig } from '../config.ts'
import type { Extension, PartsRequest, PlannedPart } from '../extension.ts'

/** The option that names parameters. */
export interface ParametersConfig {
  /** Ends of the paths of weights, `mlp.up_proj.weight`. */
  readonly targetParameters?: readonly string[]
}

/** Whether a name means the weight of the layer at a path. */
function means(name: string, path: string): boolean {
  const weight = `${path}.weight`
  return weight === name || weight.endsWith(`.${name}`)
}

function adds(path: string, { targetParameters = [] }: ResolvedConfig): boolean {
  return targetParameters.some(name => means(name, path))
}

/** There are no parts; names that mean nothing are problems. */
function parts({ config, layers, problems }: PartsRequest): PlannedPart[] {
  for (const name of config.targetParameters ?? []) {
    if (!layers.some(({ path }) => means(name, path))) {
      problems.push(
        `targetParameters: "${name}" is the weight of no layer that can take an update ` +
          '(matrices of experts are not supported)',
      )
    }
  }
  return []
}

export const parameters: Extension = {
  name: 'parameters',
  options: {
    targetParameters: (value, { loraDropout, loraBias, useDora }) => {
      if (!Array.isArray(value) || !value.every(name => typeof name === 'string')) {
        return 'a list of names'
      }
      return loraDropout || loraBias || useDora
        ? 'none beside loraDropout, loraBias or useDora'
        : undefined
    },
  },
  adds,
  parts,
}
