// Adapter directories of the family hostile: damaged, contradictory, merely odd. A clear refusal is right
// for each that PEFT raises an error for or accepts without wisdom (it leaves layers at their initial
// values, overwrites the base, unpickles); what is accepted must give PEFT's logits, and what PEFT accepts
// for a good reason must be accepted here.

import { LowrankError } from '../../core/errors.ts'
import { tensor } from '../../core/tensor.ts'
import { type ByteSource, readJson } from '../../io/index.ts'
import { load } from '../../lora/index.ts'
import { loadModel } from '../../models/auto.ts'
import { type Case, folderOf } from '../case.ts'
import { type Check, checkThat } from '../compare.ts'
import type { Answer, CaseKind } from '../kind.ts'
import { compareNumbers, numbersIn } from '../numbers.ts'

/** Accepted by PEFT, and rightly: nothing in them is doubtful. */
const SOUND: readonly string[] = [
  'good',
  'a_double',
  'a_half',
  'alpha_fraction',
  'alpha_missing',
  'alpha_negative',
  'alpha_pattern_no_match',
  'alpha_zero',
  'base_model_elsewhere',
  'bias_all_without_biases',
  'both_formats',
  'exclude_no_match',
  'fan_in_fan_out_on_linear',
  'init_false',
  'init_olora',
  'init_orthogonal',
  'init_pissa',
  'old_dora_suffix',
  'only_required_keys',
  'peft_version_future',
  'runtime_config_present',
  'target_modules_missing',
  'target_modules_null',
  'target_modules_pattern',
  'task_type_null',
  'task_type_other',
  'unknown_keys',
]

/** Refused by PEFT for what JSON cannot say: here, 4.0 is the number 4. */
const NUMBERS: readonly string[] = ['r_float']

interface Base {
  readonly input_ids: readonly number[]
  readonly tolerance: { readonly logits: number }
}

const nameOf = ({ name }: Case): string => name.split('/').at(-1) ?? name

/** The logits of the last position under an adapter. */
async function logitsOf(files: ByteSource, adapter: string): Promise<number[]> {
  const { input_ids: ids } = (await readJson(files, 'base.json')) as Base
  const model = await loadModel(folderOf(files, 'base'))
  try {
    await load(model, folderOf(files, adapter))
    const index = tensor(ids, [1, ids.length], { dtype: 'int32' })
    return [...(await model.forward(index, { lastOnly: true }).data())]
  } finally {
    model.dispose()
  }
}

async function run({ json, files }: Case): Promise<Answer> {
  try {
    const logits = await logitsOf(files, json.adapter)
    return { tensors: {}, json: { outcome: 'accepts', logits } }
  } catch (error) {
    const refused = error instanceof LowrankError
    return { tensors: {}, json: { outcome: refused ? 'raises' : 'breaks', message: `${error}` } }
  }
}

async function compareLogits({ files, json }: Case, got: unknown): Promise<Check> {
  const { tolerance } = (await readJson(files, 'base.json')) as Base
  if (Array.isArray(json.logits)) {
    return compareNumbers('logits', got, json.logits, tolerance.logits)
  }
  const values = numbersIn(got)
  const lost = values !== undefined && !values.every(Number.isFinite)
  return checkThat('logits', json.logits === 'not finite' && lost, `expected ${json.logits}`)
}

async function compare(example: Case, { json: got }: Answer): Promise<Check[]> {
  const name = nameOf(example)
  const { outcome } = example.json
  if (got?.outcome !== 'accepts') {
    const wanted = SOUND.includes(name) ? 'it to be accepted' : 'a refusal'
    const note = `expected ${wanted}, got ${got?.message ?? JSON.stringify(got?.outcome)}`
    return [checkThat('outcome', got?.outcome === 'raises' && !SOUND.includes(name), note)]
  }
  if (outcome === 'raises') {
    const note = `expected a refusal (${example.json.type}: ${example.json.message})`
    return [checkThat('outcome', NUMBERS.includes(name), note)]
  }
  return [await compareLogits(example, got.logits)]
}

export const adapters: CaseKind = {
  run,
  compare,
  question: async ({ adapter }, { files }) => {
    const { input_ids } = (await readJson(files, 'base.json')) as Base
    return { adapter, input_ids }
  },
}
