// Combinations of initialisation and layer that PEFT refuses, or takes with a surprise. Surprises are
// refused here: an embedding that PEFT starts as by default without a word, a name that means nothing
// without data, a rank above the sizes of the layer. OLoRA on Conv1D, whose orientation PEFT mixes up, is
// right here and so accepted.

import { LowrankError } from '../../core/errors.ts'
import type { Parameter } from '../../core/parameter.ts'
import { attach, onCpu } from '../../lora/index.ts'
import type { Case, CaseJson } from '../case.ts'
import { type Check, checkThat } from '../compare.ts'
import type { Answer } from '../kind.ts'
import { LAYERS } from './start.ts'

function shapeOf({ kind, din, dout, cin, cout, kernel, rows, dim }: CaseJson): readonly number[] {
  switch (kind) {
    case 'linear':
      return [dout, din]
    case 'conv1d':
      return [din, dout]
    case 'embedding':
      return [rows, dim]
    default:
      return [cout, cin, ...kernel]
  }
}

async function outcomeOf(row: CaseJson): Promise<Record<string, unknown>> {
  try {
    const { groups = 1 } = row
    const [first, second, ...rest] = shapeOf(row)
    const layer = LAYERS[row.kind]([first, second / groups, ...rest], groups)
    const config = { r: row.r, initLoraWeights: row.init }
    const { adapters } = await onCpu(layer, () => attach(layer, config))
    const { A, B } = adapters.get('default') as { A: Parameter; B: Parameter }
    return { outcome: 'accepted', shapes: [A.shape, B.shape] }
  } catch (error) {
    if (!(error instanceof LowrankError)) {
      throw error
    }
    return { outcome: 'raises', message: error.message }
  }
}

/** A combination without what became of it. */
export function combinationOf({
  outcome: _,
  type: __,
  message: ___,
  shapes: ____,
  ...row
}: CaseJson): CaseJson {
  const { all_zero, base_changed, forward_error, forward_change, ...combination } = row
  return combination
}

export async function runRefused({ json }: Case): Promise<Answer> {
  const rows = await Promise.all((json.rows as CaseJson[]).map(outcomeOf))
  return { tensors: {}, json: { rows } }
}

/** What starts from zeros because its name says so; PEFT trains both factors of any other "MiCA". */
function meansZero(init: string): boolean {
  return init === 'mica' || init.toLowerCase() === 'gaussian'
}

/** PEFT starts these as by default; only where that is what the name means is it taken here, too. */
function startsAsDefault({ init, all_zero: zero }: CaseJson): boolean {
  return typeof init === 'string' && zero?.length > 0 && !meansZero(init)
}

function exceedsSizes(row: CaseJson): boolean {
  const { kind, r, cin, cout, kernel } = row
  const [rows, cols] = kind === 'conv2d' ? [cout, cin * kernel[0] * kernel[1]] : shapeOf(row)
  return r > Math.min(rows, cols)
}

function isSurprise(row: CaseJson): boolean {
  return startsAsDefault(row) || exceedsSizes(row)
}

export function compareRefused({ json }: Case, answer: Answer): Check[] {
  const got = (answer.json?.rows ?? []) as CaseJson[]
  return (json.rows as CaseJson[]).flatMap((row, i) => {
    // There are no layers of float64 here.
    if (row.dtype === 'float64') {
      return []
    }
    const want = row.outcome === 'raises' || isSurprise(row) ? 'raises' : 'accepted'
    const what = `${row.init} on ${row.kind}`
    return checkThat(
      what,
      got[i]?.outcome === want,
      `expected ${want}, got ${JSON.stringify(got[i]?.outcome)}`,
    )
  })
}
