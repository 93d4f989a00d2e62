// Runs that are done, a line of JSON each, so that a long job that was cut short goes on where it was.

import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { tensor } from 'lowrank'
import type { AdaptedLayer, Trained } from './runs.ts'

interface StoredLayer extends Omit<AdaptedLayer, 'A'> {
  readonly shape: readonly number[]
  /** The bytes of A in float32, as base64. */
  readonly A: string
}

interface Stored extends Omit<Trained, 'layers'> {
  readonly key: string
  readonly layers: readonly StoredLayer[]
}

function restored({ shape, A, ...layer }: StoredLayer): AdaptedLayer {
  const bytes = Uint8Array.from(Buffer.from(A, 'base64'))
  return { ...layer, A: tensor(new Float32Array(bytes.buffer), shape) }
}

async function storedLayer({ A, ...layer }: AdaptedLayer): Promise<StoredLayer> {
  const values = Float32Array.from(await A.data())
  return { ...layer, shape: A.shape, A: Buffer.from(values.buffer).toString('base64') }
}

/** The runs in a file, by their keys. A last line that was cut short is taken out of the file. */
export function keptRuns(file: string): Map<string, Trained> {
  const text = existsSync(file) ? readFileSync(file, 'utf8') : ''
  const whole = text.slice(0, text.lastIndexOf('\n') + 1)
  if (whole.length < text.length) {
    writeFileSync(file, whole)
  }
  const lines = whole.split('\n').filter(Boolean)
  const runs = lines.map(line => JSON.parse(line) as Stored)
  return new Map(
    runs.map(({ key, layers, ...run }) => [key, { ...run, layers: layers.map(restored) }]),
  )
}

/** Adds a run to a file. */
export async function keepRun(file: string, key: string, run: Trained): Promise<void> {
  const layers = await Promise.all(run.layers.map(storedLayer))
  appendFileSync(file, `${JSON.stringify({ key, ...run, layers })}\n`)
}
