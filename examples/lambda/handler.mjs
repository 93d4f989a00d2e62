// A handler for Node serverless: learns from the rows of each request and answers with the loss. The
// layer and its adapter live as long as the instance does.
//   npm install lowrank, then deploy this file with node_modules; the handler is handler.handler

import { AdamW, attach, Linear, manualSeed, mseLoss, tensor, trainStep } from 'lowrank'

const SIZE = 64

manualSeed(7)
const model = attach(new Linear(SIZE, SIZE), { r: 4 })
const optimizer = new AdamW(model.trainable(), { lr: 1e-2 })

/** Event: `{ body: '{ "x": [[64 numbers], …], "y": [[64 numbers], …] }' }`. */
export async function handler(event) {
  const { x, y } = JSON.parse(event.body)
  if (x.length !== y.length || [...x, ...y].some(row => row.length !== SIZE)) {
    return { statusCode: 400, body: `expected as many rows in x as in y, ${SIZE} numbers each` }
  }
  const shape = [x.length, SIZE]
  const [input, target] = [tensor(x.flat(), shape), tensor(y.flat(), shape)]
  const loss = await trainStep(optimizer, () => mseLoss(model.forward(input), target))
  return { statusCode: 200, body: JSON.stringify({ loss, step: optimizer.steps }) }
}
