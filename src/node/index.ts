// What needs Node's modules (also in Deno and Bun): the public names.

export { directory } from './directory.ts'
