// Fine-tunes one frozen layer with LoRA and prints the losses and the bytes of the adapter.
//   npm install lowrank && npx http-server .   (then open index.html)

import { AdamW, attach, Linear, manualSeed, mseLoss, tensor, trainStep } from 'lowrank'
import { memoryDirectory } from 'lowrank/io'
import { saveAdapter } from 'lowrank/lora'

manualSeed(7)
const model = attach(new Linear(64, 64), { r: 4, loraAlpha: 8 })
const optimizer = new AdamW(model.trainable(), { lr: 1e-2 })
const numbers = seed =>
  Float32Array.from({ length: 16 * 64 }, (_, i) => ((i * seed) % 19) / 19 - 0.5)
const x = tensor(numbers(37), [16, 64])
const y = tensor(numbers(41), [16, 64])
for (let step = 1; step <= 20; step++) {
  const loss = await trainStep(optimizer, () => mseLoss(model.forward(x), y))
  if (step === 1 || step % 10 === 0) {
    console.log(`step ${step}: loss ${loss}`)
  }
}
const files = memoryDirectory()
await saveAdapter(model, files)
console.log(`adapter: ${(await files.read('adapter_model.safetensors')).length} bytes`)
