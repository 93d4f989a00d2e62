// Everything that runs in a browser under one roof: bundled into one file, `lowrank/browser`, for
// pages without a bundler and for CDNs.

export * from './analysis/index.ts'
export { reference } from './backends/reference/index.ts'
export { wasm } from './backends/wasm/index.ts'
export * from './index.ts'
export * from './io/index.ts'
// Of the two, the one with every option.
export { attach } from './lora/complete.ts'
export * from './lora/index.ts'
export * from './models/auto.ts'
export * from './models/index.ts'
export * from './tokenizer/index.ts'
export * from './train/index.ts'
