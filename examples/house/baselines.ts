// What fine-tuning is compared with, and how answers are scored.
//   exact match   got and want are the same JSON, keys in the same order, after trimming
//   nearest       the answer of the training example whose prompt is nearest: cosine of the angle
//                 between TF-IDF vectors of words, weight(w) = count(w) · ln(N / n(w)), where n(w)
//                 of the N training prompts hold w (Spärck Jones 1972); the first of equals wins
//   described     the base model's own chance: the new tool's description in front of the command

import { describe } from './described.ts'
import type { Example, HeldOut } from './grammar.ts'

/** The value of a JSON text as one canonical line, or `undefined` if it is not JSON. */
function canonical(text: string): string | undefined {
  try {
    return JSON.stringify(JSON.parse(text))
  } catch {
    return undefined
  }
}

/** Whether `got` is the JSON that `want` is, space around and inside apart. */
export function exactMatch(got: string, want: string): boolean {
  const value = canonical(got)
  return value !== undefined && value === canonical(want)
}

/** How many answers of a kind are right. */
export interface Score {
  readonly right: number
  readonly count: number
  /** `right / count`, from 0 to 1. */
  readonly share: number
}

/** The scores by kind, and of all answers under `overall`; `answers[i]` belongs to `examples[i]`. */
export function scoresByKind(
  examples: readonly HeldOut[],
  answers: readonly string[],
): Record<string, Score> {
  const totals = new Map<string, { right: number; count: number }>()
  examples.forEach((example, i) => {
    const right = exactMatch(answers[i], example.completion) ? 1 : 0
    for (const kind of ['overall', example.kind]) {
      const total = totals.get(kind) ?? { right: 0, count: 0 }
      totals.set(kind, { right: total.right + right, count: total.count + 1 })
    }
  })
  const entries = [...totals].map(([kind, { right, count }]): [string, Score] => [
    kind,
    { right, count, share: right / count },
  ])
  return Object.fromEntries(entries)
}

const wordsOf = (text: string): string[] => text.toLowerCase().match(/[\p{L}_]+|\p{N}+|%/gu) ?? []

type Vector = ReadonlyMap<string, number>

/** TF-IDF over the words of a set of prompts; a word of none of them weighs nothing. */
function vectorizer(prompts: readonly string[]): (prompt: string) => Vector {
  const holders = new Map<string, number>()
  for (const prompt of prompts) {
    for (const word of new Set(wordsOf(prompt))) {
      holders.set(word, (holders.get(word) ?? 0) + 1)
    }
  }
  return prompt => {
    const vector = new Map<string, number>()
    for (const word of wordsOf(prompt)) {
      const held = holders.get(word)
      const weight = held === undefined ? 0 : Math.log(prompts.length / held)
      vector.set(word, (vector.get(word) ?? 0) + weight)
    }
    return vector
  }
}

function dot(a: Vector, b: Vector): number {
  let sum = 0
  for (const [word, weight] of a) {
    sum += weight * (b.get(word) ?? 0)
  }
  return sum
}

function cosine(a: Vector, b: Vector): number {
  const lengths = Math.sqrt(dot(a, a) * dot(b, b))
  return lengths === 0 ? 0 : dot(a, b) / lengths
}

/** For each prompt, the completion of the nearest training example. */
export function nearestAnswers(training: readonly Example[], prompts: readonly string[]): string[] {
  const vectorize = vectorizer(training.map(example => example.prompt))
  const vectors = training.map(example => vectorize(example.prompt))
  return prompts.map(prompt => {
    const vector = vectorize(prompt)
    let best = 0
    let nearest = -1
    vectors.forEach((other, i) => {
      const similarity = cosine(vector, other)
      if (similarity > nearest) {
        nearest = similarity
        best = i
      }
    })
    return training[best].completion
  })
}

/** A tool as a description has it: its name and the names of its arguments. */
export interface ToolDescription {
  readonly name: string
  readonly arguments: readonly string[]
}

/** The prompt with the description of a tool in front, in the form that the base was trained on. */
export function describedPrompt(tool: ToolDescription, prompt: string): string {
  return describe(tool.name, tool.arguments) + prompt
}
