// The kinds of the family optim.

import type { CaseKind } from '../kind.ts'
import { clip } from './clip.ts'
import { loraPlus } from './lora_plus.ts'
import { schedules } from './schedules.ts'
import { trajectory } from './trajectory.ts'

export const optimKinds: Readonly<Record<string, CaseKind>> = {
  'optim/trajectory': trajectory,
  'optim/clip_grad_norm': clip,
  'optim/schedules': schedules,
  'optim/loraplus': loraPlus,
}
