// ONNX Runtime Web, products only (it neither trains nor loads adapters): a graph of one Gemm. `prepacked`
// has the weight as a constant of the graph, which the runtime packs when it loads; otherwise both operands
// are inputs.
import onnxProto from 'onnx-proto'
import * as ort from 'onnxruntime-web/wasm'

const { onnx } = onnxProto
const FLOAT = 1

function valueInfo(name, shape) {
  const dim = shape.map(size => ({ dimValue: size }))
  return { name, type: { tensorType: { elemType: FLOAT, shape: { dim } } } }
}

/** C = x·Wᵀ as the bytes of a model; `w` is a constant of it if given. */
function modelBytes({ M, N, K }, w) {
  const rawData = w && new Uint8Array(w.data.buffer, w.data.byteOffset, w.data.byteLength)
  const inputs = [valueInfo('x', [M, K]), ...(w ? [] : [valueInfo('w', [N, K])])]
  const transB = { name: 'transB', type: onnx.AttributeProto.AttributeType.INT, i: 1 }
  const model = {
    irVersion: 8,
    opsetImport: [{ domain: '', version: 17 }],
    graph: {
      name: 'product',
      node: [{ opType: 'Gemm', input: ['x', 'w'], output: ['c'], attribute: [transB] }],
      initializer: w ? [{ name: 'w', dataType: FLOAT, dims: [N, K], rawData }] : [],
      input: inputs,
      output: [valueInfo('c', [M, N])],
    },
  }
  return onnx.ModelProto.encode(onnx.ModelProto.create(model)).finish()
}

/** A run of one workload; see worker.mjs. */
export async function create({ sizes }, { x, w }, variant) {
  ort.env.wasm.numThreads = 1
  const prepacked = variant === 'prepacked'
  const bytes = modelBytes(sizes, prepacked ? w : undefined)
  const session = await ort.InferenceSession.create(bytes, { executionProviders: ['wasm'] })
  const feeds = { x: new ort.Tensor('float32', x.data, x.shape) }
  if (!prepacked) {
    feeds.w = new ort.Tensor('float32', w.data, w.shape)
  }
  const run = async () => (await session.run(feeds)).c.data
  return { result: run, step: run, version: ort.env.versions.web ?? ort.env.versions.common }
}
