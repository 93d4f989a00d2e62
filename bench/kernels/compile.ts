// Compiles a bench's own AssemblyScript (an .as file beside it) with the flags of the library's build.
import { readFileSync } from 'node:fs'
import asc from 'assemblyscript/asc'

const root = new URL('../../', import.meta.url)

/** The module of one .as file, `name` without the ending; throws with the compiler's words. */
export async function compile(name: string): Promise<WebAssembly.Module> {
  const source = readFileSync(new URL(`${name}.as`, import.meta.url), 'utf8')
  const config = readFileSync(new URL('asconfig.json', root), 'utf8')
  const { targets: _, ...options } = JSON.parse(config)
  let bytes: Uint8Array<ArrayBuffer> | undefined
  const { error, stderr } = await asc.main(
    [`${name}.ts`, '--config', 'asconfig.json', '--outFile', `${name}.wasm`],
    {
      readFile: file => {
        if (file === 'asconfig.json') {
          return JSON.stringify(options)
        }
        return file === `${name}.ts` ? source : null
      },
      writeFile: (_file, contents) => {
        bytes = new Uint8Array(contents as Uint8Array<ArrayBuffer>)
      },
      listFiles: () => [],
    },
  )
  if (error || !bytes) {
    throw new Error(`${name}.as: ${error?.message}\n${stderr.toString()}`)
  }
  return new WebAssembly.Module(bytes)
}
