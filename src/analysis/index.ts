// The public names of `lowrank/analysis`, and no code.

export {
  type GradcheckEntry,
  type GradcheckOptions,
  type GradcheckReport,
  gradcheck,
} from '../core/gradcheck.ts'
export { adapterChanges, type LayerChange } from './adapter.ts'
export { type Amplification, amplification } from './amplification.ts'
export { deltaNorm, relativeChange } from './change.ts'
export { effectiveRank, singularValues } from './spectrum.ts'
export {
  type SubspaceSimilarities,
  type SubspaceSimilarity,
  subspaceSimilarities,
  subspaceSimilarity,
} from './subspace.ts'
export type { LayerUpdate } from './update.ts'
