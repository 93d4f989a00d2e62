// Reading a Hugging Face config.json field by field: types are checked, defaults are those of
// transformers 5, and all mistakes are reported at once.

import { throwAll } from '../core/errors.ts'

export type Json = Readonly<Record<string, unknown>>

/** Collects the fields of one config.json and what is wrong with them. */
export class ConfigReader {
  readonly where: string
  readonly json: Json
  readonly #problems: string[] = []

  constructor(where: string, json: unknown) {
    this.where = where
    const isObject = typeof json === 'object' && json !== null && !Array.isArray(json)
    if (!isObject) {
      throwAll('config', where, [`expected an object, got ${JSON.stringify(json)}`])
    }
    this.json = json as Json
  }

  /** A whole number from 1 up; required where there is no default. */
  size(key: string, fallback?: number): number {
    const value = this.json[key] ?? fallback
    if (!Number.isInteger(value) || (value as number) < 1) {
      this.problem(`${key}: expected a whole number from 1 up, got ${JSON.stringify(value)}`)
      return 1
    }
    return value as number
  }

  number(key: string, fallback?: number): number {
    const value = this.json[key] ?? fallback
    if (typeof value !== 'number' || !Number.isFinite(value)) {
      this.problem(`${key}: expected a finite number, got ${JSON.stringify(value)}`)
      return 0
    }
    return value
  }

  flag(key: string, fallback: boolean): boolean {
    const value = this.json[key] ?? fallback
    if (typeof value !== 'boolean') {
      this.problem(`${key}: expected true or false, got ${JSON.stringify(value)}`)
      return fallback
    }
    return value
  }

  /** A word that must be one of those this library implements. */
  choice(key: string, choices: readonly string[], fallback: string): string {
    const value = this.json[key] ?? fallback
    if (typeof value !== 'string' || !choices.includes(value)) {
      this.problem(`${key}: expected ${choices.join(' or ')}, got ${JSON.stringify(value)}`)
      return fallback
    }
    return value
  }

  /** Token numbers, given as one number, a list, or not at all. */
  tokens(key: string): number[] {
    const value = this.json[key]
    const list = Array.isArray(value) ? value : value === null || value === undefined ? [] : [value]
    if (!list.every(Number.isInteger)) {
      this.problem(`${key}: expected token numbers, got ${JSON.stringify(value)}`)
      return []
    }
    return list
  }

  problem(problem: string): void {
    this.#problems.push(problem)
  }

  /** Throws a `config` error if anything was wrong. */
  finish(): void {
    throwAll('config', this.where, this.#problems)
  }
}
