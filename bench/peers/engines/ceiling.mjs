// Not an engine: what the CPU can do with 128-bit multiplications and additions, in GFLOP/s, sampled beside
// the engines (bench/kernels/ceiling.as).

const STEPS = 100_000
const OPERATIONS = 56

export const CEILING_FLOPS = STEPS * OPERATIONS

/** A run of one probe; see worker.mjs. */
export async function create() {
  // Here, not above: only the worker that runs the probe can load TypeScript.
  const { compile } = await import('../../kernels/compile.ts')
  const memory = new WebAssembly.Memory({ initial: 16 })
  const module = await compile('ceiling')
  const { multiply_add } = new WebAssembly.Instance(module, { env: { memory } }).exports
  return { step: () => multiply_add(STEPS, 1), result: () => new Float32Array(1), version: 'probe' }
}
