// Infers, tries to train, and tells what happened: for pages whose policy forbids WASM.

import * as lowrank from '/lowrank/dist/lowrank.browser.js'

const warnings = []
console.warn = text => warnings.push(text)
const { AdamW, attach, Linear, matmul, memory, mseLoss, tensor, trainStep } = lowrank
const a = tensor([1, 2, 3, 4], [2, 2])
const product = [...matmul(a, a).dataSync()]
const model = attach(new Linear(2, 2), { r: 1 })
const optimizer = new AdamW(model.trainable(), { lr: 1e-3 })
trainStep(optimizer, () => mseLoss(model.forward(a), a))
  .then(
    loss => typeof loss,
    error => error.message,
  )
  .then(training => {
    const { backend } = memory()
    globalThis.result = JSON.stringify({ backend, product, warnings, training })
  })
