// Milliseconds from the import of the file that the address names to the end of the first training step.

const file = new URLSearchParams(location.search).get('file')
const start = performance.now()
const { AdamW, attach, Linear, mseLoss, tensor, trainStep } = await import(`/lowrank/${file}`)
const model = attach(new Linear(8, 8), { r: 2 })
const optimizer = new AdamW(model.trainable(), { lr: 1e-3 })
const x = tensor(new Float32Array(8).fill(1), [1, 8])
await trainStep(optimizer, () => mseLoss(model.forward(x), x))
globalThis.result = String(performance.now() - start)
