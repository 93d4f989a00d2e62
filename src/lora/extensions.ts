// Every extension of this library, in the order in which they are asked. A new one is a file and a line
// here.

import type { Extension } from './extension.ts'
import { evaStart } from './init/eva.ts'
import { micaStart } from './init/mica.ts'
import { oloraStart } from './init/olora.ts'
import { orthogonalStart } from './init/orthogonal.ts'
import { pissaStart } from './init/pissa.ts'
import { dora } from './variants/dora.ts'
import { loraFa } from './variants/lora_fa.ts'

export const EXTENSIONS: readonly Extension[] = [
  dora,
  loraFa,
  pissaStart,
  oloraStart,
  orthogonalStart,
  micaStart,
  evaStart,
]
