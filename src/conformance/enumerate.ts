// The cases below a directory, in order of their names. A family is a folder; in it every
// NAME.json, every NAME/case.json and every line of a NAME.jsonl is a case, but for JSON that only
// describes another file (`kind` "base"). Its rules are those of the family that its JSON names, and only
// where it names none those of the folder, which so may be called otherwise.

import { throwAll } from '../core/errors.ts'
import { type ByteSource, parseJsonLines, readJson } from '../io/index.ts'
import { type Case, type CaseJson, type CaseTensors, folderOf, readTensors } from './case.ts'

/** Where a case is, before it is read. */
export interface CasePlace {
  readonly family: string
  /** Below the root: `layers/dora_fresh.json`. */
  readonly path: string
}

const SUFFIX = /\.jsonl?$/

/** The folders that hold cases. `names` are all files below the root, with `/` between parts. */
export function casePlaces(names: readonly string[]): CasePlace[] {
  const places: CasePlace[] = []
  for (const path of [...names].sort()) {
    const parts = path.split('/')
    const flat = parts.length === 2 && SUFFIX.test(path) && parts[1] !== 'case.json'
    const folder = parts.length === 3 && parts[2] === 'case.json'
    if (flat || folder) {
      places.push({ family: parts[0], path })
    }
  }
  return places
}

const NOTHING: CaseTensors = new Map()

/** The family that the JSON names, else that of the folder. */
function familyOf(json: CaseJson, folder: string): string {
  return typeof json?.family === 'string' ? json.family : folder
}

async function tensorsBeside(files: ByteSource, name: string): Promise<CaseTensors> {
  return (await files.has(name)) ? readTensors(files, name) : NOTHING
}

async function readFolder(root: ByteSource, { family, path }: CasePlace): Promise<Case> {
  const name = path.slice(0, -'/case.json'.length)
  const files = folderOf(root, name)
  const json = (await readJson(files, 'case.json')) as CaseJson
  const tensors = await tensorsBeside(files, 'data.safetensors')
  const own = familyOf(json, family)
  return { name, family: own, kind: `${own}/${json?.kind}`, json, tensors, files, root }
}

async function readPair(root: ByteSource, { family, path }: CasePlace): Promise<Case> {
  const name = path.slice(0, -'.json'.length)
  const files = folderOf(root, family)
  const json = (await readJson(root, path)) as CaseJson
  const tensors = await tensorsBeside(root, `${name}.safetensors`)
  const own = familyOf(json, family)
  const kind = `${own}/${json?.kind ?? json?.case}`
  return { name, family: own, kind, json, tensors, files, root }
}

/** What a line of a list is called: by the file or folder it is about, else by its number. */
function lineName(list: string, row: Readonly<Record<string, unknown>>, i: number): string {
  const about = row.file ?? row.adapter ?? row.model
  const last = typeof about === 'string' ? about.replace(/\.safetensors$/, '').split('/') : []
  const type = typeof row.outtype === 'string' ? `.${row.outtype}` : ''
  return `${list}/${last.at(-1) || i + 1}${type}`
}

async function readLines(root: ByteSource, { family, path }: CasePlace): Promise<Case[]> {
  const list = path.slice(0, -'.jsonl'.length)
  const files = folderOf(root, family)
  const { rows, problems } = parseJsonLines(await root.read(path))
  throwAll(
    'file',
    path,
    problems.map(({ line, reason }) => `line ${line}: ${reason}`),
  )
  return rows.map(({ value }, i) => {
    const json = value as Readonly<Record<string, unknown>>
    const name = lineName(list, json, i)
    return { name, family, kind: list, json, tensors: NOTHING, files, root }
  })
}

/** The cases at a place: one, or as many as the list has lines. */
export async function readPlace(root: ByteSource, place: CasePlace): Promise<Case[]> {
  if (place.path.endsWith('.jsonl')) {
    return readLines(root, place)
  }
  const read = place.path.endsWith('/case.json') ? readFolder : readPair
  const found = await read(root, place)
  return found.json?.kind === 'base' ? [] : [found]
}
