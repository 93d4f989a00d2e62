// The package by its entries, as an application with a resolver imports it.

import * as root from 'lowrank'
import * as io from 'lowrank/io'
import * as lora from 'lowrank/lora'
import * as models from 'lowrank/models'
import * as train from 'lowrank/train'
import * as wasm from 'lowrank/wasm'

export const lowrank = { ...root, ...io, ...lora, ...models, ...train, ...wasm }
