// Which rules a case falls under: family and kind, as its JSON has them.

import { exportKinds } from './export/index.ts'
import { generateKinds } from './generate/index.ts'
import { hostileKinds } from './hostile/index.ts'
import { initKinds } from './init/index.ts'
import type { CaseKind } from './kind.ts'
import { layerKinds } from './layers.ts'
import { mergeKinds } from './merge.ts'
import { modelKinds } from './models/index.ts'
import { opKinds } from './ops/index.ts'
import { optimKinds } from './optim/index.ts'
import { randomKinds } from './random.ts'

/** Every kind of case that is known; a case of another fails. */
export const KINDS: Readonly<Record<string, CaseKind>> = {
  ...exportKinds,
  ...generateKinds,
  ...hostileKinds,
  ...initKinds,
  ...layerKinds,
  ...mergeKinds,
  ...modelKinds,
  ...opKinds,
  ...optimKinds,
  ...randomKinds,
}
