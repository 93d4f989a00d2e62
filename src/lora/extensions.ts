// Every extension of this library, in the order in which they are asked. A new one is a file and a line
// here.

import type { Extension } from './extension.ts'
import { evaStart } from './init/eva.ts'
import { gaussianStart } from './init/gaussian.ts'
import { micaStart } from './init/mica.ts'
import { oloraStart } from './init/olora.ts'
import { orthogonalStart } from './init/orthogonal.ts'
import { pissaStart } from './init/pissa.ts'
import { unsetEmbedding } from './init/unset_embedding.ts'
import { bias } from './options/bias.ts'
import { fused } from './options/fused.ts'
import { layers } from './options/layers.ts'
import { modules } from './options/modules.ts'
import { names } from './options/names.ts'
import { parameters } from './options/parameters.ts'
import { tokens } from './options/tokens.ts'
import { dora } from './variants/dora.ts'
import { loraFa } from './variants/lora_fa.ts'

export const EXTENSIONS: readonly Extension[] = [
  dora,
  fused,
  loraFa,
  layers,
  modules,
  parameters,
  tokens,
  bias,
  names,
  gaussianStart,
  pissaStart,
  oloraStart,
  orthogonalStart,
  micaStart,
  evaStart,
  unsetEmbedding,
]
