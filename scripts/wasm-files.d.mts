/** Reads dist/backends/wasm/binaries, writes beside it and to dist/wasm. */
export function writeWasmFiles(dist: URL): Promise<void>
