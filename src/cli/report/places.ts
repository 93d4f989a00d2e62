// Where a layer is: the block it repeats in (`model.layers.3`) and what it is there (`q_proj`), read
// off its path. Names are as short as they can be while they tell layers apart.

export interface Place {
  /** The number of the block, with what comes before it where there are several stacks. */
  readonly block: string
  readonly projection: string
}

interface Parts {
  readonly stack: string
  readonly number: string
  readonly rest: readonly string[]
}

/** Layers outside the blocks. */
const OUTSIDE = '–'

function partsOf(path: string): Parts {
  const names = path.split('.')
  const at = names.findIndex(name => /^\d+$/.test(name))
  if (at < 0 || at === names.length - 1) {
    return { stack: '', number: OUTSIDE, rest: names }
  }
  return { stack: names.slice(0, at).join('.'), number: names[at], rest: names.slice(at + 1) }
}

/** For each dotted name its shortest ending that no other name has. */
function shortest(names: readonly (readonly string[])[]): Map<string, string> {
  const full = new Set(names.map(name => name.join('.')))
  const short = new Map<string, string>()
  for (const name of full) {
    const parts = name.split('.')
    let length = 1
    const ending = (): string => parts.slice(-length).join('.')
    const isTaken = (): boolean =>
      [...full].some(other => other !== name && `.${other}`.endsWith(`.${ending()}`))
    while (length < parts.length && isTaken()) {
      length++
    }
    short.set(name, ending() || 'layer')
  }
  return short
}

/** The places of layers, in their order. */
export function placesOf(paths: readonly string[]): Place[] {
  const parts = paths.map(partsOf)
  const projections = shortest(parts.map(({ rest }) => rest))
  const stacks = new Set(parts.filter(({ number }) => number !== OUTSIDE).map(({ stack }) => stack))
  return parts.map(({ stack, number, rest }) => ({
    block: stacks.size > 1 && number !== OUTSIDE ? `${stack}.${number}` : number,
    projection: projections.get(rest.join('.')) ?? '',
  }))
}
