// What a table of ops is: case op -> a call of it with the case's arguments and input tensors.

import type { Tensor } from '../../core/tensor.ts'

// biome-ignore lint/suspicious/noExplicitAny: each op has arguments of its own
export type CallArguments = any
export type CallInputs = Readonly<Record<string, Tensor>>
export type CallOutputs = Readonly<Record<string, Tensor>>
export type OpCall = (args: CallArguments, inputs: CallInputs) => CallOutputs
