/** Reads dist/backends/wasm/families.js, writes beside it and to dist/wasm. */
export function writeWasmFiles(dist: URL): Promise<void>
