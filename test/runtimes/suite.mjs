// What every runtime does with the installed package: fine-tune a small model, save the adapter, load
// it, generate, and fail with clear errors. Returns plain data; the bytes and numbers must be the same
// everywhere.

const CONFIG = {
  vocab_size: 64,
  hidden_size: 48,
  intermediate_size: 80,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 64,
}

const tokenizer = {
  eosTokenId: 2,
  encode: text => [...text].map(letter => 3 + (letter.charCodeAt(0) % 60)),
  decode: ids => String(ids),
}

const data = Array.from({ length: 24 }, (_, i) => ({
  prompt: `number ${i * 37}`,
  completion: `is ${i % 7}${i % 3}`,
}))

const hex = bytes => [...bytes].map(byte => byte.toString(16).padStart(2, '0')).join('')

const base = ({ LlamaForCausalLM, manualSeed, readLlamaConfig }) => {
  manualSeed(5)
  return new LlamaForCausalLM(readLlamaConfig('suite', CONFIG))
}

/** Trains the base and saves the adapter, dropout and all. */
async function finetuned(lowrank, files) {
  const { attach, finetune, saveAdapter } = lowrank
  const options = { r: 4, targetModules: 'all-linear', loraDropout: 0.1 }
  const model = attach(base(lowrank), options)
  const run = await finetune(model, { tokenizer, data, epochs: 4, batchSize: 5, lr: 1e-2, seed: 9 })
  await saveAdapter(model, files)
  return { model, losses: run.losses }
}

const PROMPT = tokenizer.encode('number 37')

const continued = ({ generateTokens }, model) =>
  generateTokens(model, [PROMPT], { maxNewTokens: 12, temperature: 0.7, seed: 3 })

/** The errors of mistakes anyone could make, by their codes. */
async function mistakes({ matmul, load, memoryDirectory, step, tensor }, model) {
  const code = async fn => {
    try {
      await fn()
      return 'none'
    } catch (error) {
      return error.code ?? error.name
    }
  }
  const matrix = (rows, cols) => tensor(new Float32Array(rows * cols), [rows, cols])
  let leaked
  step(() => {
    leaked = matmul(matrix(2, 3), matrix(3, 2))
  })
  return {
    shape: await code(() => matmul(matrix(2, 3), matrix(2, 3))),
    scope: await code(() => leaked.dataSync()),
    file: await code(() => load(model, memoryDirectory())),
  }
}

/** A linear layer under LoRA: losses of three steps, large enough to be split among threads. */
async function linearLosses({ AdamW, attach, Linear, manualSeed, mseLoss, tensor, trainStep }) {
  manualSeed(1)
  const values = Float32Array.from({ length: 96 * 256 }, (_, i) => ((i * 37) % 19) / 19 - 0.5)
  const model = attach(new Linear(256, 256), { r: 8 })
  const optimizer = new AdamW(model.trainable(), { lr: 1e-2 })
  const x = tensor(values, [96, 256])
  const losses = []
  for (let i = 0; i < 3; i++) {
    losses.push(await trainStep(optimizer, () => mseLoss(model.forward(x), x)))
  }
  return losses
}

/** Chooses a backend with threads, and waits until its workers are there and have computed rows. */
export async function useThreads(lowrank, threads) {
  const backend = lowrank.wasm({ threads })
  lowrank.setBackend(backend)
  for (let tries = 0; backend.computedByWorkers === 0 && tries < 200; tries++) {
    await linearLosses(lowrank)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
  return backend
}

/** Runs everything with the names of the package in one record. */
export async function suite(lowrank) {
  const { load, memory, memoryDirectory } = lowrank
  const files = memoryDirectory()
  const { model, losses } = await finetuned(lowrank, files)
  const adapter = await files.read('adapter_model.safetensors')
  const loaded = base(lowrank)
  await load(loaded, files)
  const [words] = await continued(lowrank, model)
  const [again] = await continued(lowrank, loaded)
  const { backend, reproducible } = memory()
  return {
    adapter: hex(adapter),
    config: hex(await files.read('adapter_config.json')),
    losses,
    words,
    loadedSpeaksTheSame: String(words) === String(again),
    linear: await linearLosses(lowrank),
    errors: await mistakes(lowrank, loaded),
    backend,
    reproducible,
  }
}
