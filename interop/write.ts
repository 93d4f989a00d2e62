// Writes what interop/peft_check.py compares: for a few prompts the last logits and the greedy
// continuation of a base, of an adapter on it, and of the merged model, in float32.
//
//   tsx interop/write.ts MODEL ADAPTER DATA OUT

import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { tensor } from 'lowrank'
import { load, mergeAndUnload } from 'lowrank/lora'
import { type CausalLM, saveModel } from 'lowrank/models'
import { loadModel } from 'lowrank/models/auto'
import { directory } from 'lowrank/node'
import { loadTokenizer } from 'lowrank/tokenizer'
import { generateTokens } from 'lowrank/train'

const CASES = 12

const [modelPath, adapterPath, dataPath, out] = process.argv.slice(2)
const source = directory(modelPath)
const tokenizer = await loadTokenizer(source)
const lines = readFileSync(dataPath, 'utf8').split('\n').filter(Boolean)
const stride = Math.max(1, Math.floor(lines.length / CASES))
const prompts = lines
  .filter((_, i) => i % stride === 0)
  .slice(0, CASES)
  .map(line => JSON.parse(line).prompt as string)

async function outputs(model: CausalLM, ids: readonly number[]): Promise<object> {
  const input = tensor(ids, [1, ids.length], { dtype: 'int32' })
  const logits = model.forward(input, { lastOnly: true })
  const [greedy] = await generateTokens(model, [ids], { maxNewTokens: 48 })
  return { logits: [...(await logits.data())], greedy }
}

const base = await loadModel(source)
const adapted = await loadModel(source)
await load(adapted, directory(adapterPath))
mkdirSync(out, { recursive: true })
cpSync(adapterPath, join(out, 'adapter'), { recursive: true })
const merged = await loadModel(source)
await load(merged, directory(adapterPath))
mergeAndUnload(merged, { dtype: 'float32' })
await saveModel(merged, directory(join(out, 'merged')), {
  source,
  dtype: 'float32',
  overwrite: true,
})
const cases: object[] = []
for (const prompt of prompts) {
  const ids = tokenizer.encode(prompt)
  cases.push({
    prompt,
    ids,
    base: await outputs(base, ids),
    adapter: await outputs(adapted, ids),
    merged: await outputs(merged, ids),
  })
}
writeFileSync(join(out, 'expected.json'), JSON.stringify({ model: modelPath, cases }))
