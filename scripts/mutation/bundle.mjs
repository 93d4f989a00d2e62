// All tests of a mutation run and what they import, as one file: a mutant then costs the tests that reach
// it, and no loading of modules.

import { dirname, join, relative } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'rolldown'

const here = dirname(fileURLToPath(import.meta.url))
const ENTRY = '\0tests'

/** vitest.config.ts's aliases, and this folder's `it` and `describe` for 'vitest'. */
function resolution(aliases) {
  return {
    name: 'resolution',
    resolveId(id) {
      if (id === ENTRY) {
        return id
      }
      if (id === 'vitest') {
        return join(here, 'tests.mjs')
      }
      const alias = aliases.find(({ find }) => find.test(id))
      return alias ? id.replace(alias.find, alias.replacement) : undefined
    },
    // In the bundle every module would be where the bundle is.
    transform(code, id) {
      return code.includes('import.meta.url')
        ? code.replaceAll('import.meta.url', JSON.stringify(pathToFileURL(id).href))
        : undefined
    },
  }
}

/**
 * Writes a module to `file`: its `files` are the names of test files and functions that run them, its
 * `tests` what those noted. Rejects if one of them cannot be resolved.
 */
export async function bundleTests({ root, files, aliases, file }) {
  const name = path => relative(root, path).replaceAll('\\', '/')
  const lines = files.map(
    path => `[${JSON.stringify(name(path))}, () => import(${JSON.stringify(path)})],`,
  )
  const setup = join(root, 'test/support/unshrunk.ts')
  const entry = `import ${JSON.stringify(setup)}
export { tests } from 'vitest'
export const files = [${lines.join('\n')}]
`
  await build({
    input: ENTRY,
    platform: 'node',
    external: /^(node:|playwright-core$|rolldown$|@vitest\/)/,
    logLevel: 'silent',
    plugins: [
      { name: 'entry', load: id => (id === ENTRY ? entry : undefined) },
      resolution(aliases),
    ],
    output: { file, codeSplitting: false },
  })
}
