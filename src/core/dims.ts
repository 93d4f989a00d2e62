// Shapes are written once and executed: `dims('linear', w, 'O I', { I })` documents the shape,
// checks it, and returns the sizes by name. Letters: B batch, T tokens, C width, H heads, D head
// size, V vocabulary, I in, O out, R rank, M N K inside matmul. A first word `...rows` takes all
// leading axes and returns their product.

import { LowrankError } from './errors.ts'
import { countOf, formatShape, type Shape } from './shape.ts'

type Word<W extends string> = W extends `...${infer Rest}` ? Rest : W

/** The names in a pattern: `'...rows C'` gives `'rows' | 'C'`. */
export type Names<P extends string> = P extends `${infer Head} ${infer Tail}`
  ? Word<Head> | Names<Tail>
  : Word<P>

export type Sizes<P extends string> = { readonly [Name in Names<P>]: number }

interface Shaped {
  readonly shape: Shape
}

function mismatch(
  where: string,
  shape: Shape,
  pattern: string,
  known: Readonly<Record<string, number>>,
): LowrankError {
  const names = pattern.split(' ').filter(name => known[name] !== undefined)
  const given = names.map(name => `${name} = ${known[name]}`).join(', ')
  return new LowrankError(
    'shape',
    `${where}: expected [${pattern.replaceAll(' ', ', ')}]${given ? ` with ${given}` : ''}, ` +
      `got ${formatShape(shape)}`,
  )
}

/** A pattern, read once: the names of its axes, and that of all leading ones together. */
interface Pattern {
  readonly rest: readonly string[]
  readonly leading: string | undefined
}

const patterns: Map<string, Pattern> = /* @__PURE__ */ new Map()

function patternOf(text: string): Pattern {
  let pattern = patterns.get(text)
  if (!pattern) {
    const names = text.split(' ')
    const hasLeading = names[0].startsWith('...')
    pattern = {
      rest: hasLeading ? names.slice(1) : names,
      leading: hasLeading ? names[0].slice(3) : undefined,
    }
    patterns.set(text, pattern)
  }
  return pattern
}

const NONE: Readonly<Record<string, number>> = {}

/** Checks a shape against a pattern and returns its sizes by name; throws `shape` errors. */
export function dims<const P extends string>(
  where: string,
  tensor: Shaped | Shape,
  pattern: P,
  known: { readonly [Name in Names<P>]?: number } = NONE as Sizes<P>,
): Sizes<P> {
  const shape = 'shape' in tensor ? tensor.shape : tensor
  const { rest, leading } = patternOf(pattern)
  const expected = known as Readonly<Record<string, number>>
  const sizes: Record<string, number> = {}
  const before = shape.length - rest.length
  if (leading === undefined ? before !== 0 : before < 0) {
    throw mismatch(where, shape, pattern, expected)
  }
  if (leading !== undefined) {
    sizes[leading] = countOf(shape.slice(0, before))
  }
  for (let i = 0; i < rest.length; i++) {
    const name = rest[i]
    const size = shape[before + i]
    const wanted = expected[name] ?? sizes[name]
    if (wanted !== undefined && wanted !== size) {
      throw mismatch(where, shape, pattern, expected)
    }
    sizes[name] = size
  }
  return sizes as Sizes<P>
}
