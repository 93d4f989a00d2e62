// LoRA-FA: A stays as it was drawn and B alone is trained, so that of the input of a layer only x·Aᵀ
// [rows, r] is kept for backward. Source: Zhang et al. 2023, "LoRA-FA: memory-efficient low-rank
// adaptation for large language models fine-tuning" (arXiv 2308.03303), section 3.

import { isFlag } from '../config.ts'
import type { Extension } from '../extension.ts'

/** The option of LoRA-FA; PEFT has it as an optimizer, so its files do not know it. */
export interface LoraFaConfig {
  readonly useLoraFa?: boolean
}

export const loraFa: Extension = {
  name: 'lora-fa',
  options: {
    useLoraFa: isFlag,
  },
  frozen: ({ useLoraFa }) => (useLoraFa ? 'A' : undefined),
}
