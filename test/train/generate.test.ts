import { attach, type Tensor, tensor, withBackend } from 'lowrank'
import type { CausalLM } from 'lowrank/models'
import { decode, generate, generateTokens } from 'lowrank/train'
import { beforeAll, describe, expect, it } from 'vitest'
import { backends } from '../support/backends.ts'
import { scaledError } from '../support/fixture.ts'
import { tinyLlama } from '../support/models.ts'
import { WordTokenizer } from '../support/words.ts'

const int32 = (ids: readonly number[]): Tensor => tensor(ids, [1, ids.length], { dtype: 'int32' })

/** The greedy continuation by a whole forward pass per token: what a cache must not change. */
function withoutCache(model: CausalLM, prompt: readonly number[], count: number): number[] {
  const ids = [...prompt]
  for (let i = 0; i < count; i++) {
    const logits = model.forward(int32(ids)).dataSync()
    const last = logits.subarray(logits.length - 40)
    ids.push(last.indexOf(Math.max(...last)))
  }
  return ids.slice(prompt.length)
}

describe.each(backends)('generation on $name', ({ make, name }) => {
  const backend = make()
  let model: CausalLM
  beforeAll(() => {
    model = withBackend(backend, () =>
      attach(tinyLlama(), { r: 2, targetModules: 'all-linear', initLoraWeights: false }),
    )
  })
  const options = { maxNewTokens: 12, eosTokenIds: [] }

  it('with a cache equals a whole forward pass per token', async () => {
    const prompt = [5, 9, 13]
    const [tokens] = await generateTokens(model, [prompt], options)
    expect(tokens).toEqual(withBackend(backend, () => withoutCache(model, prompt, 12)))
  })

  it('gives the logits of the whole pass, bit for bit on wasm', async () => {
    const prompt = [5, 9, 13, 2, 7]
    const steps = []
    for await (const step of decode(model, [prompt], options)) {
      steps.push(step)
    }
    const ids = [...prompt, ...steps.map(({ tokens }) => tokens[0])].slice(0, -1)
    const whole = withBackend(backend, () => model.forward(int32(ids)).dataSync())
    steps.forEach(({ logits }, i) => {
      const row = whole.subarray((prompt.length - 1 + i) * 40, (prompt.length + i) * 40)
      if (name === 'wasm') {
        expect(logits).toEqual(row)
      } else {
        expect(scaledError(logits, row)).toBeLessThan(1e-12)
      }
    })
  })

  it('of a padded batch equals each prompt alone', async () => {
    const prompts = [[5, 9, 13, 4, 8], [7], [3, 30, 31]]
    const together = await generateTokens(model, prompts, options)
    for (const [i, prompt] of prompts.entries()) {
      expect(together[i]).toEqual((await generateTokens(model, [prompt], options))[0])
    }
  })

  it('interleaved with other adapters equals the solo runs', async () => {
    const run = (adapter: string | null) => decode(model, [[4, 6]], { ...options, adapter })
    const alone = async (adapter: string | null): Promise<number[]> => {
      const tokens: number[] = []
      for await (const step of run(adapter)) {
        tokens.push(step.tokens[0])
      }
      return tokens
    }
    const want = [await alone('default'), await alone(null)]
    expect(want[0]).not.toEqual(want[1])
    const streams = [run('default'), run(null)]
    const got: number[][] = [[], []]
    for (let i = 0; i < 12; i++) {
      for (const [s, stream] of streams.entries()) {
        got[s].push((await stream.next()).value?.tokens[0] as number)
      }
    }
    await Promise.all(streams.map(stream => stream.return(undefined)))
    expect(got).toEqual(want)
  })

  it('gives the cache back, also when the caller stops early', async () => {
    await generateTokens(model, [[5]], options)
    const { used } = backend.memory()
    for await (const step of decode(model, [[5]], options)) {
      expect(step.tokens.length).toBe(1)
      break
    }
    expect(backend.memory().used).toBe(used)
  })

  it('ends at an end token and at the model’s last position', async () => {
    const [first] = await generateTokens(model, [[5, 9]], { ...options, maxNewTokens: 1 })
    expect(await generateTokens(model, [[5, 9]], { eosTokenIds: first })).toEqual([[]])
    const [all] = await generateTokens(model, [[5, 9]], { eosTokenIds: [] })
    expect(all.length).toBe(30)
  })

  it('samples the same text for the same seed', async () => {
    const draw = (seed: number): Promise<number[][]> =>
      generateTokens(model, [[5, 9]], { ...options, temperature: 1.5, seed })
    expect(await draw(1)).toEqual(await draw(1))
    expect(await draw(1)).not.toEqual(await draw(2))
  })
})

describe('generate', () => {
  it('yields text that adds up to the decoded tokens', async () => {
    const tokenizer = new WordTokenizer('a b c d e f g h i j k l m n o p q r s t u v w x y z')
    const model = tinyLlama()
    let text = ''
    for await (const piece of generate(model, tokenizer, 'c d', { maxNewTokens: 6 })) {
      text += piece
    }
    const [ids] = await generateTokens(model, [tokenizer.encode('c d')], { maxNewTokens: 6 })
    expect(text).toBe(tokenizer.decode(ids))
  })

  it.each([
    [{ temperature: -1 }, 'temperature: expected'],
    [{ topK: 0 }, 'topK: expected'],
    [{ topP: 0 }, 'topP: expected'],
    [{ repetitionPenalty: 0 }, 'repetitionPenalty: expected'],
    [{ maxNewTokens: -1 }, 'maxNewTokens: expected a whole number from 1 up, got -1'],
    [{ maxNewTokens: 1.5 }, 'maxNewTokens: expected'],
    [{ maxNewTokens: Number.NaN }, 'maxNewTokens: expected'],
    [{ seed: 0.5 }, 'seed: expected'],
  ])('refuses %j', async (options, part) => {
    await expect(generateTokens(tinyLlama(), [[3]], options)).rejects.toThrow(part)
  })

  it('refuses prompts that leave no room', async () => {
    const prompt = Array.from({ length: 32 }, () => 3)
    await expect(generateTokens(tinyLlama(), [prompt])).rejects.toThrow('the model takes 32')
    await expect(generateTokens(tinyLlama(), [[]])).rejects.toThrow('at least one token')
  })

  it.each([Number.NaN, 1.5, -1, 40])('refuses the token %d', async token => {
    const prompts = [[3], [4, token]]
    await expect(generateTokens(tinyLlama(), prompts)).rejects.toThrow(
      `generate: expected tokens from 0 to 39, got ${token}`,
    )
  })
})
