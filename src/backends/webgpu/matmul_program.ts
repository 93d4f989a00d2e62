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
// zero, as WebGPU promises, and only reach elements that are not stored.

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

/** Functions that read one element and four neighbours of float32. */
function floatReads(name: string, aligned: boolean): string {
  return aligned
    ? `fn ${name}1(i: u32) -> f32 { return ${name}[i / 4u][i & 3u]; }
fn ${name}4(i: u32) -> vec4f { return ${name}[i / 4u]; }`
    : `fn ${name}1(i: u32) -> f32 { return ${name}[i]; }
fn ${name}4(i: u32) -> vec4f {
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
fn b1(i: u32) -> f32 { return pair(b[i / 4u][(i / 2u) & 1u])[i & 1u]; }
fn b4(i: u32) -> vec4f { let w = b[i / 4u]; return vec4f(pair(w.x), pair(w.y)); }`
    : `${PAIR[format]}
fn b1(i: u32) -> f32 { return pair(b[i / 2u])[i & 1u]; }
fn b4(i: u32) -> vec4f { return vec4f(b1(i), b1(i + 1u), b1(i + 2u), b1(i + 3u)); }`
}

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i)
const lines = (items: readonly string[]): string => items.join('\n    ')

/** Declarations before the loop over K, one step of four, and one of one. */
interface Body {
  readonly before: string
  readonly four: string
  readonly one: string
}

/** b's rows lie along N: nn and tn. */
function alongRows({ variant, height, width }: ProductShape): Body {
  const columns = range(width / 4)
  const rows = range(height)
  const step = (k: string, element: (i: number) => string): string[] => [
    ...columns.map(j => `let r${j} = b4(bAt + (${k}) * p.bStride + ${4 * j}u);`),
    ...rows.flatMap(i => columns.map(j => `t${i}_${j} += ${element(i)} * r${j};`)),
  ]
  if (variant === 'tn') {
    const block = (k: string): string[] => [
      ...range(height / 4).map(i => `let l${i} = a4(aAt + (${k}) * p.aStride + ${4 * i}u);`),
      ...step(k, i => `l${i >> 2}[${i & 3}]`),
    ]
    return {
      before: 'let aAt = p.aOffset + m;',
      four: lines(range(4).flatMap(k => ['{', ...block(`k + ${k}u`), '}'])),
      one: lines(block('k')),
    }
  }
  return {
    before: lines(rows.map(i => `let left${i} = p.aOffset + (m + ${i}u) * p.aStride;`)),
    four: lines([
      ...rows.map(i => `let l${i} = a4(left${i} + k);`),
      ...range(4).flatMap(k => ['{', ...step(`k + ${k}u`, i => `l${i}[${k}]`), '}']),
    ]),
    one: lines([...rows.map(i => `let l${i} = a1(left${i} + k);`), ...step('k', i => `l${i}`)]),
  }
}

/** b's rows lie along K: nt. */
function alongK({ height, width }: ProductShape): Body {
  const [rows, columns] = [range(height), range(width)]
  const quads = range(width / 4)
  const matrix = (j: number): string =>
    range(4)
      .map(n => `r${4 * j + n}`)
      .join(', ')
  return {
    before: lines([
      ...rows.map(i => `let left${i} = p.aOffset + (m + ${i}u) * p.aStride;`),
      ...columns.map(n => `let right${n} = p.bOffset + (n + ${n}u) * p.bStride;`),
    ]),
    four: lines([
      ...columns.map(n => `let r${n} = b4(right${n} + k);`),
      ...rows.flatMap(i => [
        `let l${i} = a4(left${i} + k);`,
        ...quads.map(j => `t${i}_${j} += l${i} * mat4x4f(${matrix(j)});`),
      ]),
    ]),
    one: lines([
      ...columns.map(n => `let r${n} = b1(right${n} + k);`),
      ...rows.flatMap(i => [
        `let l${i} = a1(left${i} + k);`,
        ...quads.map(j => `t${i}_${j} += l${i} * vec4f(${matrix(j)});`),
      ]),
    ]),
  }
}

const STORES = {
  whole: /* wgsl */ `
fn store(m: u32, n: u32, tile: vec4f) {
  if (m >= p.M || n >= p.N) { return; }
  let at = (p.cOffset + m * p.cStride + n) / 4u;
  var value = p.alpha * tile;
  if (p.accumulate == 1u) { value += c[at]; }
  c[at] = value;
}`,
  single: /* wgsl */ `
fn store(m: u32, n: u32, tile: vec4f) {
  if (m >= p.M) { return; }
  for (var j = 0u; j < min(4u, max(p.N, n) - n); j++) {
    let at = p.cOffset + m * p.cStride + n + j;
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
      'M:u32 N:u32 K:u32 alpha:f32 accumulate:u32 scratch:-',
    groups: ({ M, N }) => Math.ceil(M / tall) * Math.ceil(N / wide),
    size: THREADS,
    uses: [
      floatReads('a', aligned.a),
      format === 0 ? floatReads('b', aligned.b) : halfReads(format, aligned.b),
      aligned.c ? STORES.whole : STORES.single,
    ],
    code: /* wgsl */ `
  let columns = (p.N + ${wide - 1}u) / ${wide}u;
  let m = (group / columns) * ${tall}u + (lane / ${across}u) * ${height}u;
  let n = (group % columns) * ${wide}u + (lane % ${across}u) * ${width}u;
  if (m >= p.M || n >= p.N) { return; }
  ${variant === 'nt' ? '' : 'let bAt = p.bOffset + n;'}
  ${body.before}
  ${tiles.map(([i, j]) => `var t${i}_${j} = vec4f();`).join(' ')}
  var k = 0u;
  for (; k + 4u <= p.K; k += 4u) {
    ${body.four}
  }
  for (; k < p.K; k++) {
    ${body.one}
  }
  ${tiles.map(([i, j]) => `store(m + ${i}u, n + ${4 * j}u, t${i}_${j});`).join('\n  ')}`,
  }
}
