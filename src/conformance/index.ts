// Conformance: stored cases, answers of an implementation, comparison. To add a family, write a
// file with its kinds, each a `CaseKind` (kind.ts):
//
//   run(example, backend)      what this library answers: tensors under the names of the stored
//                              outputs; `backend` is the current one, also across awaits
//   compare(example, answer)   only if "every stored output within tolerance.f64 or .f32" is not
//                              the rule of the family
//
// and name them in kinds.ts as `family/kind`. A test of the family then is
// `describeFamily('layers')` (test/support/conformance.ts), which runs the same cases on every
// backend that `lowrank verify` runs.

export {
  type Case,
  type CaseData,
  type CaseTensor,
  type CaseTensors,
  folderOf,
  readTensors,
} from './case.ts'
export {
  type Answered,
  type Check,
  checkEqual,
  checkThat,
  compareTensor,
  relativeError,
  scaledError,
} from './compare.ts'
export { type CasePlace, casePlaces, readPlace } from './enumerate.ts'
export {
  differingStages,
  type FingerprintOptions,
  type FingerprintStage,
  fingerprint,
} from './fingerprint.ts'
export {
  type Answer,
  allAnswered,
  answered,
  type CaseKind,
  compareOutputs,
  outputsOf,
  stored,
  toleranceOf,
} from './kind.ts'
export { KINDS } from './kinds.ts'
export { compareNumber, compareNumbers } from './numbers.ts'
export {
  type CaseResult,
  checkCase,
  type Implementation,
  library,
  NotImplemented,
  passes,
  verifyCases,
} from './verify.ts'
