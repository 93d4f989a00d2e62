// WASM modules that someone else compiled: a host that compiles nothing at run time, or a page that
// fetched the .wasm files. They may come from another realm, where `instanceof` says no.

import type { Binary } from '../../core/backend.ts'
import { throwAll } from '../../core/errors.ts'
import type { Exports, KernelImports } from './backend.ts'

/** Compiled binaries by family: `{ core, transformer }`. */
export type Modules = Readonly<Record<string, WebAssembly.Module>>

/** Whether this is a module, of whatever realm. */
function isModule(value: unknown): boolean {
  try {
    WebAssembly.Module.exports(value as WebAssembly.Module)
    return true
  } catch {
    return false
  }
}

/** Throws an `argument` error that names every entry that is no compiled module. */
export function checkModules(modules: Modules): void {
  const wrong = Object.keys(modules).filter(name => !isModule(modules[name]))
  const problems = wrong.map(
    name => `modules.${name}: expected a WebAssembly.Module (compile the bytes first)`,
  )
  throwAll('argument', 'wasm', problems)
}

/** Makes kernels of the module given for a family, else of the inlined one. */
export function instantiateFrom(
  modules: Modules,
): (binary: Binary, imports: KernelImports) => Exports {
  return (binary, imports) => {
    const module = modules[binary.name] ?? binary.module()
    return new WebAssembly.Instance(module, imports).exports as Exports
  }
}
