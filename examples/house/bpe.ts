// Byte-pair encoding over pieces of text that are never merged with each other: starting from single
// symbols, the pair of neighbours that occurs most often becomes a new symbol, again and again.
// Source: Sennrich, Haddow, Birch, "Neural machine translation of rare words with subword units"
// (ACL 2016), algorithm 1; over bytes as in Radford et al. (2019), with GPT-2's printable alphabet.

/** Two symbols that are merged into one. */
export type Merge = readonly [left: string, right: string]

/** GPT-2's alphabet: the printable character that stands for each of the 256 bytes. */
export const BYTE_ALPHABET: readonly string[] = byteAlphabet()

function byteAlphabet(): string[] {
  const shown = (byte: number): boolean =>
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174
  let hidden = 0
  return Array.from({ length: 256 }, (_, byte) =>
    String.fromCharCode(shown(byte) ? byte : 256 + hidden++),
  )
}

const encoder = new TextEncoder()

/** Text as one character of the alphabet per byte. */
export function toByteCharacters(text: string): string {
  return Array.from(encoder.encode(text), byte => BYTE_ALPHABET[byte]).join('')
}

interface Piece {
  symbols: readonly string[]
  readonly count: number
}

const SEPARATOR = ' '

/** How often each pair of neighbours occurs, and in which pieces. */
interface Pairs {
  readonly counts: Map<string, number>
  readonly holders: Map<string, Set<Piece>>
}

/** Adds the pairs of a piece to the tables, or with `sign` −1 takes them away. */
function countPairs(pairs: Pairs, piece: Piece, sign: 1 | -1): void {
  const { symbols, count } = piece
  for (let i = 1; i < symbols.length; i++) {
    const pair = symbols[i - 1] + SEPARATOR + symbols[i]
    pairs.counts.set(pair, (pairs.counts.get(pair) ?? 0) + sign * count)
    if (sign === 1) {
      const holders = pairs.holders.get(pair) ?? new Set()
      pairs.holders.set(pair, holders.add(piece))
    }
  }
}

/** The most frequent pair; of equally frequent ones the first in the order of code units. */
function bestPair(counts: ReadonlyMap<string, number>): string | undefined {
  let best: string | undefined
  let most = 0
  for (const [pair, count] of counts) {
    if (count > most || (count === most && best !== undefined && pair < best)) {
      best = pair
      most = count
    }
  }
  return best
}

function mergeIn(symbols: readonly string[], [left, right]: Merge): string[] {
  const merged: string[] = []
  for (let i = 0; i < symbols.length; i++) {
    if (symbols[i] === left && symbols[i + 1] === right) {
      merged.push(left + right)
      i++
    } else {
      merged.push(symbols[i])
    }
  }
  return merged
}

/** The merges, best first, for pieces (in byte characters) that occur so many times. */
export function trainMerges(counts: ReadonlyMap<string, number>, size: number): Merge[] {
  const pairs: Pairs = { counts: new Map(), holders: new Map() }
  for (const [text, count] of counts) {
    countPairs(pairs, { symbols: [...text], count }, 1)
  }
  const merges: Merge[] = []
  while (merges.length < size) {
    const pair = bestPair(pairs.counts)
    if (pair === undefined) {
      break
    }
    const [left, right] = pair.split(SEPARATOR)
    merges.push([left, right])
    for (const piece of pairs.holders.get(pair) ?? []) {
      countPairs(pairs, piece, -1)
      piece.symbols = mergeIn(piece.symbols, [left, right])
      countPairs(pairs, piece, 1)
    }
    pairs.holders.delete(pair)
  }
  return merges
}
