// biome-ignore-all lint/suspicious/noTemplateCurlyInString: faults are pieces of code

// Deliberate faults in the code of LoRA, and for each the test that catches it. A fault is a
// replacement of text that stands once in its file, so a change of the code that moves it shows.

import { ADAPTER_FAULTS } from './adapter_faults.ts'
import { VECTOR_FAULTS } from './vector_faults.ts'

export interface Fault {
  readonly name: string
  readonly file: string
  readonly find: string
  readonly replace: string
  readonly testFile: string
  /** What the name of the test contains. */
  readonly test: string
}

const LAYERS = 'test/lora/layers.test.ts'
const PROPERTIES = 'test/lora/properties.test.ts'
const ATTACH = 'test/lora/attach.test.ts'
const TARGETS = 'test/lora/targets.test.ts'
const ACTIVE = 'test/lora/active.test.ts'
const ROWS = 'test/lora/rows.test.ts'
const DROPOUT = 'test/lora/dropout.test.ts'
const PEFT = 'test/lora/peft.test.ts'
const INIT = 'test/lora/init/golden.test.ts'
const MERGE = 'test/lora/combine/golden.test.ts'
const PORTABLE = 'test/lora/files/portable.test.ts'
const OPTIM = 'test/conformance/optim.test.ts'
const MODELS = 'test/conformance/models.test.ts'

export const FAULTS: readonly Fault[] = [
  {
    name: 'the scale acts on the base as well',
    file: 'src/ops/lora_linear.ts',
    find: 'part(target, O), [rows, O, I], 1, bias !== undefined)',
    replace: 'part(target, O), [rows, O, I], options.updates[0]?.scale ?? 1, bias !== undefined)',
    testFile: PROPERTIES,
    test: 'equals x·Wᵀ + b + s·(x·Aᵀ)·Bᵀ',
  },
  {
    name: 'the update is not scaled',
    file: 'src/ops/lora_linear_update.ts',
    find: 'call.multiply(matmul_nt, own, b, out, [count, O, R], scale, true)',
    replace: 'call.multiply(matmul_nt, own, b, out, [count, O, R], 1, true)',
    testFile: PROPERTIES,
    test: 'equals x·Wᵀ + b + s·(x·Aᵀ)·Bᵀ',
  },
  {
    name: 'the update replaces the base',
    file: 'src/ops/lora_linear_update.ts',
    find: 'call.multiply(matmul_nt, own, b, out, [count, O, R], scale, true)',
    replace: 'call.multiply(matmul_nt, own, b, out, [count, O, R], scale, false)',
    testFile: PROPERTIES,
    test: 'equals x·Wᵀ + b + s·(x·Aᵀ)·Bᵀ',
  },
  {
    name: 'the gradient of B is not scaled',
    file: 'src/ops/lora_linear_update.ts',
    find: 'call.multiply(matmul_tn, upstream, own, out, [O, R, count], scale, !first)',
    replace: 'call.multiply(matmul_tn, upstream, own, out, [O, R, count], 1, !first)',
    testFile: PROPERTIES,
    test: 'hold for x, W, b, A and B',
  },
  {
    name: 'the gradient of A is not scaled',
    file: 'src/ops/lora_linear_update.ts',
    find: 'call.multiply(matmul_nn, part(dy, O, start), b, own, [count, R, O], scale)',
    replace: 'call.multiply(matmul_nn, part(dy, O, start), b, own, [count, R, O], 1)',
    testFile: PROPERTIES,
    test: 'hold for x, W, b, A and B',
  },
  {
    name: 'the gradient of the bias of B is not scaled',
    file: 'src/ops/lora_linear_update.ts',
    find: 'call.multiply(matmul_tn, upstream, call.ones, out, [O, 1, count], scale, !first)',
    replace: 'call.multiply(matmul_tn, upstream, call.ones, out, [O, 1, count], 1, !first)',
    testFile: LAYERS,
    test: 'layers/linear_lora_bias',
  },
  {
    name: 'the gradient of x leaves the update out',
    file: 'src/ops/lora_linear_update.ts',
    find: '    backwardInput(call, update, dv, dx)\n',
    replace: '    void backwardInput\n',
    testFile: PROPERTIES,
    test: 'hold for x, W, b, A and B',
  },
  {
    name: 'gradients of several ranges of rows overwrite each other',
    file: 'src/ops/lora_linear_update.ts',
    find: 'call.multiply(matmul_tn, upstream, own, out, [O, R, count], scale, !first)',
    replace: 'call.multiply(matmul_tn, upstream, own, out, [O, R, count], scale, false)',
    testFile: ROWS,
    test: 'equal row by row: plain',
  },
  {
    name: 'dropout acts at evaluation',
    file: 'src/lora/module.ts',
    find: 'p > 0 && isRecording() ?',
    replace: 'p > 0 ?',
    testFile: DROPOUT,
    test: 'acts while a step records',
  },
  {
    name: 'the backward pass drops other elements',
    file: 'src/ops/lora_linear_update.ts',
    find: 'const masked = call.dropped(through, rows * I, dropout)',
    replace:
      'const masked = call.dropped(through, rows * I, { ...dropout, stream: dropout.stream + 1 })',
    testFile: DROPOUT,
    test: 'hold against finite differences for x, A and B',
  },
  {
    name: 'alpha is forgotten',
    file: 'src/lora/config.ts',
    find: 'useRslora ? alpha / Math.sqrt(r) : alpha / r',
    replace: 'useRslora ? alpha / Math.sqrt(r) : 1 / r',
    testFile: ATTACH,
    test: 'follow the first pattern that matches at a dotted suffix',
  },
  {
    name: 'rsLoRA divides by the rank',
    file: 'src/lora/config.ts',
    find: 'useRslora ? alpha / Math.sqrt(r) : alpha / r',
    replace: 'alpha / r',
    testFile: ATTACH,
    test: 'divide by the root of the rank with rsLoRA',
  },
  {
    name: 'targets match parts of names',
    file: 'src/lora/targets.ts',
    find: 'path.endsWith(`.${name}`)',
    replace: 'path.endsWith(name)',
    testFile: ATTACH,
    test: 'match whole dotted suffixes only',
  },
  {
    name: 'the last pattern of ranks wins',
    file: 'src/lora/targets.ts',
    find: 'Object.entries(patterns)) {',
    replace: 'Object.entries(patterns).reverse()) {',
    testFile: ATTACH,
    test: 'follow the first pattern that matches at a dotted suffix',
  },
  {
    name: 'patterns match anywhere in a path',
    file: 'src/lora/targets.ts',
    find: 'new RegExp(`^(?:${translated})$`)',
    replace: 'new RegExp(translated)',
    testFile: TARGETS,
    test: 'is of the whole path',
  },
  {
    name: 'all-linear takes the head as well',
    file: 'src/lora/plan.ts',
    find: 'path !== model.outputLayer',
    replace: "path !== ''",
    testFile: ATTACH,
    test: 'may be all linear layers but the head',
  },
  {
    name: 'exclusions are ignored',
    file: 'src/lora/plan.ts',
    find: '!(excludeModules !== undefined &&',
    replace: '!(excludeModules === null &&',
    testFile: ATTACH,
    test: 'may exclude',
  },
  {
    name: 'the base is trained',
    file: 'src/lora/attach.ts',
    find: '    parameter.freeze()\n',
    replace: '    void parameter\n',
    testFile: ATTACH,
    test: 'freezes the base and starts as the identity',
  },
  {
    name: 'B does not start at zero',
    file: 'src/lora/init/default.ts',
    find: 'new Float32Array(sizeB)',
    replace: 'new Float32Array(sizeB).fill(0.01)',
    testFile: ATTACH,
    test: 'freezes the base and starts as the identity',
  },
  {
    name: 'A starts in other bounds',
    file: 'src/lora/init/default.ts',
    find: '1 / Math.sqrt(inFeatures)',
    replace: '1 / inFeatures',
    testFile: ATTACH,
    test: 'has the moments of its initialisation',
  },
  {
    name: 'all layers start from one draw',
    file: 'src/lora/init/index.ts',
    find: '${stream}/${path}/${name}',
    replace: '${stream}/${name}',
    testFile: TARGETS,
    test: 'start differently on each layer',
  },
  {
    name: 'PiSSA is not taken from the base',
    file: 'src/lora/state.ts',
    find: '{ ...start, scale: -scale,',
    replace: '{ ...start, scale: 0,',
    testFile: INIT,
    test: 'pissa',
  },
  {
    name: 'PiSSA splits by the singular values, not their roots',
    file: 'src/lora/init/pissa.ts',
    find: 'Math.sqrt(value / scaling)',
    replace: 'value / scaling',
    testFile: INIT,
    test: 'pissa',
  },
  {
    name: 'merging subtracts',
    file: 'src/ops/lora_merge.ts',
    find: 'O, I, R, scale, 1, scratch)',
    replace: 'O, I, R, -scale, 1, scratch)',
    testFile: PROPERTIES,
    test: 'merged equals adapter',
  },
  {
    name: 'merging leaves the base out',
    file: 'src/ops/lora_merge.ts',
    find: 'O, I, R, scale, 1, scratch)',
    replace: 'O, I, R, scale, 0, scratch)',
    testFile: PROPERTIES,
    test: 'merged equals adapter',
  },
  {
    name: 'a Conv1D is merged without being transposed back',
    file: 'src/nn/conv1d.ts',
    find: '  arranged(matrix: Tensor): Tensor {\n    return transpose(matrix, 0, 1)',
    replace: '  arranged(matrix: Tensor): Tensor {\n    return matrix',
    testFile: LAYERS,
    test: 'layers/conv1d_plain',
  },
  {
    name: 'the bias of B is merged without the scale',
    file: 'src/lora/merged.ts',
    find: 'scale: state.scaling }',
    replace: 'scale: 1 }',
    testFile: LAYERS,
    test: 'layers/conv1d_rslora_lora_bias',
  },
  {
    name: 'unmerging does nothing',
    file: 'src/lora/module.ts',
    find: '    this.merged = undefined\n',
    replace: '',
    testFile: PROPERTIES,
    test: 'merged equals adapter',
  },
  {
    name: 'DoRA differentiates its norm',
    file: 'src/lora/variants/dora.ts',
    find: 'noGrad(() => scoped(() => weightNorm(base, weight, state)))',
    replace: 'scoped(() => weightNorm(base, weight, state))',
    testFile: LAYERS,
    test: 'layers/dora_plain',
  },
  {
    name: 'DoRA counts the cross term once',
    file: 'src/lora/variants/dora.ts',
    find: 'transpose(base.project(A, weight), 0, 1), 2)',
    replace: 'transpose(base.project(A, weight), 0, 1), 1)',
    testFile: LAYERS,
    test: 'layers/dora_plain',
  },
  {
    name: 'DoRA multiplies the bias as well',
    file: 'src/lora/variants/dora.ts',
    find: 'return biased(call, mul(unbiased(call, [...pending, ...updatesOf(state)]), m))',
    replace: 'return mul(biased(call, unbiased(call, [...pending, ...updatesOf(state)])), m)',
    testFile: LAYERS,
    test: 'layers/dora_bias_3d',
  },
  {
    name: 'DoRA keeps the norm of a weight that is trained',
    file: 'src/lora/variants/dora.ts',
    find: 'return parts.every(({ requiresGrad }) => !requiresGrad)',
    replace: 'return parts.length > 0',
    testFile: MODELS,
    test: 'models/llama_dora',
  },
  {
    name: 'a fresh magnitude leaves the norm out',
    file: 'src/lora/variants/dora.ts',
    find: 'synchronous ? norm.dataSync()',
    replace: 'synchronous ? new Float32Array(base.outFeatures).fill(1)',
    testFile: LAYERS,
    test: 'layers/dora_fresh',
  },
  {
    name: 'an inactive adapter is trained',
    file: 'src/lora/adapters.ts',
    find: '        if (names.includes(name)) {',
    replace: '        if (names.length > 0) {',
    testFile: ATTACH,
    test: 'are trained only when active',
  },
  {
    name: 'the choice of one call leaks into the next',
    file: 'src/core/ambient.ts',
    find: '  } finally {\n    current = before\n',
    replace: '  } finally {\n',
    testFile: ACTIVE,
    test: 'is not that of the next',
  },
  {
    name: 'a deleted adapter stays active',
    file: 'src/lora/adapters.ts',
    find: '    holder.remove(name)\n',
    replace: '',
    testFile: ATTACH,
    test: 'are deleted without touching the others',
  },
  {
    name: 'rows come back in the order of their adapters',
    file: 'src/lora/rows.ts',
    find: 'order.indexOf(row)',
    replace: 'row',
    testFile: ROWS,
    test: 'equal row by row: DoRA',
  },
  {
    name: 'A and B change names in the file',
    file: 'src/lora/state.ts',
    find: ": ['lora_A.weight', 'lora_B.weight']",
    replace: ": ['lora_B.weight', 'lora_A.weight']",
    testFile: PEFT,
    test: 'is written byte for byte',
  },
  {
    name: 'unknown tensors of a file are passed over',
    file: 'src/lora/files/peft_tensors.ts',
    find: 'problems.push(`unexpected "${key}"`)',
    replace: 'void key',
    testFile: PEFT,
    test: 'lists every missing, unexpected and mis-shaped tensor',
  },
  {
    name: 'LoRA+ raises the rate of A',
    file: 'src/optim/lora_plus.ts',
    find: '    { lr, weightDecay },\n',
    replace: '    { lr: lr * ratio, weightDecay },\n',
    testFile: OPTIM,
    test: 'optim/loraplus',
  },
  {
    name: 'combining forgets the roots of the weights',
    file: 'src/lora/combine/layer.ts',
    find: 'Math.sqrt(Math.abs(factor))',
    replace: 'Math.abs(factor)',
    testFile: MERGE,
    test: 'merge/linear',
  },
  {
    name: 'combining loses negative signs',
    file: 'src/lora/combine/layer.ts',
    find: 'factors[i] >= 0 ? root : -root',
    replace: 'root',
    testFile: MERGE,
    test: 'merge/linear_negative',
  },
  {
    name: 'pruning rounds up',
    file: 'src/lora/combine/prune.ts',
    find: 'Math.floor(density * values.length)',
    replace: 'Math.ceil(density * values.length)',
    testFile: MERGE,
    test: 'merge/magnitude_prune',
  },
  {
    name: 'the mean of the majority counts everyone',
    file: 'src/lora/combine/sign.ts',
    find: 'sum / Math.max(count, 1)',
    replace: 'sum / values.length',
    testFile: MERGE,
    test: 'merge/ties',
  },
  {
    name: 'the portable file keeps its scale',
    file: 'src/lora/files/portable.ts',
    find: 'padded(scaled(B, scaling), 1, r)',
    replace: 'padded(B, 1, r)',
    testFile: PORTABLE,
    test: 'one needs no scaling',
  },
  ...ADAPTER_FAULTS,
  ...VECTOR_FAULTS,
]
