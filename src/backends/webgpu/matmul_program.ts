// The text of a product: c [M, N] = alpha · a · b, plus c where it accumulates. One thread computes a
// tile of `height` × `width` elements in registers, four steps of K at a time:
//
//   nn   a [M, K], b [K, N]   tile rows += a[m, k] · (four neighbours of row k of b)
//   nt   a [M, K], b [N, K]   four elements += a[m, k … k+3] · (four rows of b at k … k+3)
//   tn   a [K, M], b [K, N]   as nn, with four neighbours of row k of a
//
// The naive version, one element a thread, reads two numbers for each product; a tile of 4 × 4 a half,
// one of 8 × 8 a quarter, and reads of four neighbours are one instruction. Tiles shared through
// workgroup memory were left out: on software devices they are ten times slower than registers, and
// neighbouring threads find each other's rows in the cache. Reads beyond an operand give something or
// zero, as WebGPU promises, and only reach elements that are not stored. Where K is split, a thread takes
// `share` steps of it, and the parts of c follow one another.

import type { Program } from './program.ts'

export type Variant = 'nn' | 'nt' | 'tn'

/** What a product's text depends on. */
export interface ProductShape {
  readonly variant: Variant
  readonly height: number
  readonly width: number
  /** Threads of a workgroup along N. */
  readonly across: number
  /** Whether offsets and strides are multiples of four, so that four neighbours are one read. */
  readonly aligned: { readonly a: boolean; readonly b: boolean; readonly c: boolean }
  /** How b is stored: 0 float32, 1 float16, 2 bfloat16. */
  readonly format: number
}

const THREADS = 64

/**
 * Functions that read one element and four neighbours of float32, `k` elements behind a place. Places of
 * aligned operands count fours, so that the loop divides nothing but k.
 */
function floatReads(name: string, aligned: boolean): string {
  return aligned
    ? `fn ${name}1(at: u32, k: u32) -> f32 { return ${name}[at + k / 4u][k & 3u]; }
fn ${name}4(at: u32, k: u32) -> vec4f { return ${name}[at + k / 4u]; }`
    : `fn ${name}1(at: u32, k: u32) -> f32 { return ${name}[at + k]; }
fn ${name}4(at: u32, k: u32) -> vec4f {
  let i = at + k;
  return vec4f(${name}[i], ${name}[i + 1u], ${name}[i + 2u], ${name}[i + 3u]);
}`
}

const PAIR = [
  '',
  'fn pair(w: u32) -> vec2f { return unpack2x16float(w); }',
  'fn pair(w: u32) -> vec2f { return vec2f(bitcast<f32>(w << 16u), bitcast<f32>(w & 0xffff0000u)); }',
]

/** The same for halves, two of which share a word. */
function halfReads(format: number, aligned: boolean): string {
  return aligned
    ? `${PAIR[format]}
fn b1(at: u32, k: u32) -> f32 { return pair(b[at + k / 4u][(k / 2u) & 1u])[k & 1u]; }
fn b4(at: u32, k: u32) -> vec4f { let w = b[at + k / 4u]; return vec4f(pair(w.x), pair(w.y)); }`
    : `${PAIR[format]}
fn b1(at: u32, k: u32) -> f32 { let i = at + k; return pair(b[i / 2u])[i & 1u]; }
fn b4(at: u32, k: u32) -> vec4f {
  return vec4f(b1(at, k), b1(at, k + 1u), b1(at, k + 2u), b1(at, k + 3u));
}`
}

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i)
const lines = (items: readonly string[]): string => items.join('\n    ')

/** Declarations before the loop over K, one step of four, and one of one. */
interface Body {
  readonly before: string
  readonly four: string
  readonly one: string
}

/** The place of an element, in fours where the operand is aligned. */
const placed = (isAligned: boolean, place: string): string =>
  isAligned ? `(${place}) / 4u` : place

function placesOfRows(rows: readonly number[], isAligned: boolean): string[] {
  return rows.map(
    i => `let left${i} = ${placed(isAligned, `p.aOffset + (m + ${i}u) * p.aStride`)};`,
  )
}

/** b's rows lie along N: nn and tn. */
function alongRows({ variant, height, width, aligned }: ProductShape): Body {
  const columns = range(width / 4)
  const rows = range(height)
  const step = (k: string, element: (i: number) => string): string[] => [
    ...columns.map(j => `let r${j} = b4(bAt + (${k}) * bRow, ${4 * j}u);`),
    ...rows.flatMap(i => columns.map(j => `t${i}_${j} += ${element(i)} * r${j};`)),
  ]
  const right = [
    `let bAt = ${placed(aligned.b, 'p.bOffset + n')};`,
    `let bRow = ${placed(aligned.b, 'p.bStride')};`,
  ]
  if (variant === 'tn') {
    const block = (k: string): string[] => [
      ...range(height / 4).map(i => `let l${i} = a4(aAt + (${k}) * aRow, ${4 * i}u);`),
      ...step(k, i => `l${i >> 2}[${i & 3}]`),
    ]
    return {
      before: lines([
        ...right,
        `let aAt = ${placed(aligned.a, 'p.aOffset + m')};`,
        `let aRow = ${placed(aligned.a, 'p.aStride')};`,
      ]),
      four: lines(range(4).flatMap(k => ['{', ...block(`k + ${k}u`), '}'])),
      one: lines(block('k')),
    }
  }
  return {
    before: lines([...right, ...placesOfRows(rows, aligned.a)]),
    four: lines([
      ...rows.map(i => `let l${i} = a4(left${i}, k);`),
      ...range(4).flatMap(k => ['{', ...step(`k + ${k}u`, i => `l${i}[${k}]`), '}']),
    ]),
    one: lines([...rows.map(i => `let l${i} = a1(left${i}, k);`), ...step('k', i => `l${i}`)]),
  }
}

/** b's rows lie along K: nt. */
function alongK({ height, width, aligned }: ProductShape): Body {
  const [rows, columns] = [range(height), range(width)]
  const quads = range(width / 4)
  const matrix = (j: number): string =>
    range(4)
      .map(n => `r${4 * j + n}`)
      .join(', ')
  return {
    before: lines([
      ...placesOfRows(rows, aligned.a),
      ...columns.map(
        n => `let right${n} = ${placed(aligned.b, `p.bOffset + (n + ${n}u) * p.bStride`)};`,
      ),
    ]),
    four: lines([
      ...columns.map(n => `let r${n} = b4(right${n}, k);`),
      ...rows.flatMap(i => [
        `let l${i} = a4(left${i}, k);`,
        ...quads.map(j => `t${i}_${j} += l${i} * mat4x4f(${matrix(j)});`),
      ]),
    ]),
    one: lines([
      ...columns.map(n => `let r${n} = b1(right${n}, k);`),
      ...rows.flatMap(i => [
        `let l${i} = a1(left${i}, k);`,
        ...quads.map(j => `t${i}_${j} += l${i} * vec4f(${matrix(j)});`),
      ]),
    ]),
  }
}

const STORES = {
  whole: /* wgsl */ `
fn store(part: u32, m: u32, n: u32, tile: vec4f) {
  if (m >= p.M || n >= p.N) { return; }
  let at = (p.cOffset + (part * p.M + m) * p.cStride + n) / 4u;
  var value = p.alpha * tile;
  if (p.accumulate == 1u) { value += c[at]; }
  c[at] = value;
}`,
  single: /* wgsl */ `
fn store(part: u32, m: u32, n: u32, tile: vec4f) {
  if (m >= p.M) { return; }
  for (var j = 0u; j < min(4u, max(p.N, n) - n); j++) {
    let at = p.cOffset + (part * p.M + m) * p.cStride + n + j;
    var value = p.alpha * tile[j];
    if (p.accumulate == 1u) { value += c[at]; }
    c[at] = value;
  }
}`,
}

export function productProgram(shape: ProductShape): Program {
  const { variant, height, width, across, aligned, format } = shape
  const down = THREADS / across
  const [tall, wide] = [height * down, width * across]
  const body = variant === 'nt' ? alongK(shape) : alongRows(shape)
  const element = (isAligned: boolean): string => (isAligned ? 'vec4f' : 'f32')
  const bElement = format === 0 ? element(aligned.b) : aligned.b ? 'vec2u' : 'u32'
  const tiles = range(height).flatMap(i => range(width / 4).map(j => [i, j]))
  return {
    parameters:
      `a:[${element(aligned.a)}] aOffset:u32 aStride:u32 b:[${bElement}] bOffset:u32 bStride:u32 ` +
      `bFormat:- c:[${element(aligned.c)}]! cOffset:u32 cStride:u32 ` +
      'M:u32 N:u32 K:u32 alpha:f32 accumulate:u32 scratch:- share:u32',
    groups: ({ M, N, K, share }) =>
      Math.ceil(M / tall) * Math.ceil(N / wide) * Math.max(1, Math.ceil(K / share)),
    size: THREADS,
    uses: [
      floatReads('a', aligned.a),
      format === 0 ? floatReads('b', aligned.b) : halfReads(format, aligned.b),
      aligned.c ? STORES.whole : STORES.single,
    ],
    code: /* wgsl */ `
  let columns = (p.N + ${wide - 1}u) / ${wide}u;
  let rows = (p.M + ${tall - 1}u) / ${tall}u;
  let part = group / columns / rows;
  let m = (group / columns % rows) * ${tall}u + (lane / ${across}u) * ${height}u;
  let n = (group % columns) * ${wide}u + (lane % ${across}u) * ${width}u;
  if (m >= p.M || n >= p.N) { return; }
  ${body.before}
  ${tiles.map(([i, j]) => `var t${i}_${j} = vec4f();`).join(' ')}
  var k = part * p.share;
  let end = min(p.K, k + p.share);
  for (; k + 4u <= end; k += 4u) {
    ${body.four}
  }
  for (; k < end; k++) {
    ${body.one}
  }
  ${tiles.map(([i, j]) => `store(part, m + ${i}u, n + ${4 * j}u, t${i}_${j});`).join('\n  ')}`,
  }
}

/** c = alpha · Σ parts, plus c where it accumulates; what follows `count` is as in a product. */
export const sumOfParts: Program = {
  parameters:
    'parts:[f32] count:u32 c:[f32]! cOffset:u32 cStride:u32 M:u32 N:u32 K:- alpha:f32 ' +
    'accumulate:u32 scratch:-',
  threads: ({ M, N }) => M * N,
  code: /* wgsl */ `
  var sum = 0.0;
  for (var i = 0u; i < p.count; i++) { sum += parts[i * p.M * p.N + thread]; }
  let at = p.cOffset + (thread / p.N) * p.cStride + thread % p.N;
  var value = p.alpha * sum;
  if (p.accumulate == 1u) { value += c[at]; }
  c[at] = value;`,
}
