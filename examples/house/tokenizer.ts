// The tokenizer of the bundled model: byte-level BPE in Hugging Face's files, trained on the base
// task's own text. A small model copies a name best if the name is cut the same way in the command
// and in the JSON, so the cut is by what the text is made of:
//   closed words   "the", "in the", "percent", "at": with the spaces around them
//   other words    "hall", "scullery", "set_light": bare, whatever stands around them
//   digits         one by one
//   punctuation    in runs: `":"`, `","`, `"}`; the start of an answer, `\n{"tool":"`, is one piece
//   spaces         the rest of them, one by one
// "Dim| the |hall| |lamp| to |thirty| percent" and `"room|":"|hall|","` then share "hall" and "lamp".
// The most frequent pieces are tokens as they are (the model's `ignore_merges`), the others are
// merged from bytes. Any text can be encoded, and decodes to itself.
//
//   npx tsx examples/house/tokenizer.ts          writes the files into examples/house/model/

import { mkdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { baseExamples } from './base-task.ts'
import { BYTE_ALPHABET, type Merge, toByteCharacters, trainMerges } from './bpe.ts'
import { NAME_WORDS } from './names.ts'

/** Tokens that stand for no text; the position is the id. */
export const SPECIAL_TOKENS: readonly string[] = ['<pad>', '<s>', '</s>']

/** Number of tokens, special ones included. */
export const VOCABULARY_SIZE = 768

const WHOLE_PIECES = 230
const TRAINING_EXAMPLES = 20_000
const TRAINING_SEED = 7

// Longer ones first: the first alternative that fits is taken.
const CLOSED_WORDS: readonly string[] = [
  ...['could you', 'can you', 'would you', 'I want you to', 'I need you to', 'remember to'],
  ...['go ahead and', 'it is time to', 'half past'],
  ...['in the', 'on the', 'to the', 'at the', 'with the', 'from the', 'for the', 'of the'],
  ...['the', 'in', 'to', 'at', 'on', 'with', 'from', 'for', 'of', 'a', 'an', 'and'],
  ...['percent', 'degrees', 'minutes', 'please', 'pm', 'speed'],
]

function startsAnyCase(words: string): string {
  const [first] = words
  return `[${first.toUpperCase()}${first.toLowerCase()}]${words.slice(1)}`
}

/** How text is cut before any merge, as a regular expression for JavaScript and for Oniguruma. */
export const PIECES: string = [
  '\\n\\{"tool":"',
  'tool: ',
  ` ?(?:${CLOSED_WORDS.map(startsAnyCase).join('|')})(?![\\p{L}_]) ?`,
  '[\\p{L}_]+',
  '\\p{N}',
  '[^\\s\\p{L}\\p{N}_]+ ?',
  '\\s',
].join('|')

const piecesPattern = new RegExp(PIECES, 'gu')

/** The pieces of a text, in order; together they are the text. */
export function cut(text: string): string[] {
  return text.match(piecesPattern) ?? []
}

function countPieces(texts: Iterable<string>): Map<string, number> {
  const counts = new Map<string, number>()
  for (const text of texts) {
    for (const piece of cut(text)) {
      const characters = toByteCharacters(piece)
      counts.set(characters, (counts.get(characters) ?? 0) + 1)
    }
  }
  return counts
}

function* trainingTexts(): Generator<string> {
  const examples = baseExamples(TRAINING_SEED)
  for (let i = 0; i < TRAINING_EXAMPLES; i++) {
    const { prompt, completion } = examples.next().value
    yield prompt + completion
  }
}

interface Vocabulary {
  readonly tokens: readonly string[]
  readonly merges: readonly Merge[]
}

/** Special tokens, bytes, the most frequent pieces, then merges until the vocabulary is full. */
function trainVocabulary(counts: ReadonlyMap<string, number>): Vocabulary {
  const byFrequency = [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
  const language = byFrequency.filter(([piece]) => piece.length > 1 && !NAME_WORDS.has(piece))
  const whole = language.slice(0, WHOLE_PIECES)
  const tokens = new Set([...SPECIAL_TOKENS, ...BYTE_ALPHABET, ...whole.map(([piece]) => piece)])
  const rest = new Map(byFrequency.filter(([piece]) => !tokens.has(piece)))
  const merges: Merge[] = []
  for (const merge of trainMerges(rest, VOCABULARY_SIZE)) {
    if (tokens.size === VOCABULARY_SIZE) {
      break
    }
    merges.push(merge)
    tokens.add(merge.join(''))
  }
  return { tokens: [...tokens], merges }
}

const specialToken = (content: string, id: number): object => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
})

function tokenizerJson({ tokens, merges }: Vocabulary): object {
  const byteLevel = {
    type: 'ByteLevel',
    add_prefix_space: false,
    trim_offsets: true,
    use_regex: false,
  }
  const split = { type: 'Split', pattern: { Regex: PIECES }, behavior: 'Isolated', invert: false }
  const start = { SpecialToken: { id: '<s>', type_id: 0 } }
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: SPECIAL_TOKENS.map(specialToken),
    normalizer: null,
    pre_tokenizer: { type: 'Sequence', pretokenizers: [split, byteLevel] },
    post_processor: {
      type: 'TemplateProcessing',
      single: [start, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [start, { Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
      special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } },
    },
    decoder: byteLevel,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: true,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges,
    },
  }
}

const SPECIAL_TOKENS_MAP = { bos_token: '<s>', eos_token: '</s>', pad_token: '<pad>' }

const TOKENIZER_CONFIG = {
  tokenizer_class: 'PreTrainedTokenizerFast',
  ...SPECIAL_TOKENS_MAP,
  model_max_length: 128,
  clean_up_tokenization_spaces: false,
}

/** The three files of the tokenizer, by name; the same bytes on every run. */
export function tokenizerFiles(): Record<string, string> {
  const vocabulary = trainVocabulary(countPieces(trainingTexts()))
  const text = (value: object): string => `${JSON.stringify(value, null, 1)}\n`
  return {
    'tokenizer.json': text(tokenizerJson(vocabulary)),
    'tokenizer_config.json': text(TOKENIZER_CONFIG),
    'special_tokens_map.json': text(SPECIAL_TOKENS_MAP),
  }
}

/** Where the bundled model lives. */
export const MODEL_DIRECTORY: string = fileURLToPath(new URL('./model/', import.meta.url))

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  mkdirSync(MODEL_DIRECTORY, { recursive: true })
  for (const [name, text] of Object.entries(tokenizerFiles())) {
    writeFileSync(MODEL_DIRECTORY + name, text)
  }
}
