// Bytes and tensors in files: the public names.

export {
  byteLength,
  bytesOf,
  DTYPE_BITS,
  fromNumbers,
  isStoredDType,
  STORED_DTYPES,
  type StoredDType,
  storedDType,
  tensorDType,
  toFloat32,
  toFloat64,
  toInt32,
} from './dtypes.ts'
export { type HttpOptions, httpDirectory } from './http.ts'
export { parseJson } from './json.ts'
export {
  type JsonLineProblem,
  type JsonLines,
  type JsonRow,
  parseJsonLines,
  readJsonLines,
  streamJsonLines,
} from './jsonl.ts'
export { memoryDirectory } from './memory.ts'
export {
  openSafetensors,
  openTensors,
  type ParsedSafetensors,
  type ParsedTensor,
  parseSafetensors,
  type StoredTensor,
  type TensorFiles,
} from './safetensors.ts'
export { encodeSafetensors, streamSafetensors, type TensorContent } from './safetensors-writer.ts'
export {
  type ByteSink,
  type ByteSource,
  type Directory,
  type FileContent,
  readJson,
  type WriteOptions,
} from './source.ts'
