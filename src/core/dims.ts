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

/** Checks a shape against a pattern and returns its sizes by name; throws `shape` errors. */
export function dims<const P extends string>(
  where: string,
  tensor: Shaped | Shape,
  pattern: P,
  known: { readonly [Name in Names<P>]?: number } = {},
): Sizes<P> {
  const shape = 'shape' in tensor ? tensor.shape : tensor
  const names = pattern.split(' ')
  const expected = known as Readonly<Record<string, number>>
  const sizes: Record<string, number> = {}
  const rest = names[0].startsWith('...') ? names.slice(1) : names
  const leading = shape.length - rest.length
  if (rest === names ? leading !== 0 : leading < 0) {
    throw mismatch(where, shape, pattern, expected)
  }
  if (rest !== names) {
    sizes[names[0].slice(3)] = countOf(shape.slice(0, leading))
  }
  rest.forEach((name, i) => {
    const size = shape[leading + i]
    const wanted = expected[name] ?? sizes[name]
    if (wanted !== undefined && wanted !== size) {
      throw mismatch(where, shape, pattern, expected)
    }
    sizes[name] = size
  })
  return sizes as Sizes<P>
}
