// Combining adapters: the public names, and what files and models share.

export { type CombinationType, type CombineOptions, RULES } from './options.ts'
export type { MajoritySignMethod } from './sign.ts'
export { combineWhole, type LayerFactors, type WholeAdapter } from './whole.ts'
