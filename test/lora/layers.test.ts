// PEFT's LoRA layers around frozen ones, of every kind and variant, on every backend: golden family
// `layers`, by the rules of `lowrank verify`.

import { describeFamily } from '../support/conformance.ts'

await describeFamily('layers')
