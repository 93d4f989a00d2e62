// The family export: adapters as PEFT saves them, and the files of others that mean the same. Each layer's
// update is s·B·A, s = alpha/r, or alpha/√r if rank-stabilised, with ranks and alphas of patterns.
//
//   gguf       llama.cpp multiplies B·A by alpha/r, one alpha for the file, r of the tensor: B gets the
//              factor s·r/alpha. Rows of B are in llama.cpp's order.
//   mlx        mlx-lm computes scale·(x·lora_a)·lora_b, one scale for the file: lora_a = Aᵀ, lora_b = Bᵀ
//              if all s are equal, else scale = 1 and lora_b = s·Bᵀ
//   portable   PEFT's own files for servers that know neither patterns nor rank-stabilised scaling:
//              s·B, zeros up to the largest rank, alpha = r
//
// Sources: PEFT 0.21, tuners/lora/layer.py; llama.cpp, convert_lora_to_gguf.py and src/llama-adapter.cpp;
// mlx-lm, tuner/lora.py and tuner/dora.py.

import { CASES, configText, f32, layersOf, peftTensors, sortedJson } from './adapters.mjs'
import { gguf } from './gguf.mjs'
import * as M from './matrix.mjs'
import { jsonText, safetensors, tensorOf, writeFiles } from './write.mjs'

const rounded = m => M.map(m, Math.fround)

/** Σ |B|·|A| beside the largest entry: how far roundings of B by 2⁻²⁴ can move the product. */
function rounding(layers) {
  const worst = layers.map(({ A, B }) => {
    const all = M.multiply(M.map(B, Math.abs), M.map(A, Math.abs))
    return Math.max(...all.data) / Math.max(...M.multiply(B, A).data.map(Math.abs))
  })
  return Number((2 ** -23 * Math.max(...worst)).toPrecision(1))
}

const deltasOf = (layers, keyOf, matrixOf = ({ A, B, s }) => M.scale(M.multiply(B, A), s)) =>
  Object.fromEntries(layers.map(layer => [`delta.${keyOf(layer)}`, tensorOf(matrixOf(layer))]))

const reordered = (B, order) =>
  M.matrix(B.rows, B.cols, (i, j) => B.data[order(i, B.rows) * B.cols + j])

function asGguf(layers, { config, outtype, base }) {
  const type = outtype.toUpperCase()
  const string = value => ({ type: 'STRING', value })
  const keys = {
    'general.architecture': string(
      { llama: 'llama', gpt2: 'gpt2', gpt_neox: 'gptneox' }[base.model_type],
    ),
    'general.type': string('adapter'),
    'adapter.type': string('lora'),
    'general.name': string('Adapter'),
    'adapter.lora.alpha': { type: 'FLOAT32', value: config.lora_alpha },
    'general.quantization_version': { type: 'UINT32', value: 2 },
  }
  const tensors = layers.flatMap(({ ggufName, A, B, r, s, order, embedding }) => {
    const factor = (s * r) / config.lora_alpha
    return [
      [`${ggufName}.weight.lora_a`, embedding ? M.transpose(A) : A],
      [`${ggufName}.weight.lora_b`, M.scale(reordered(B, order), factor)],
    ]
  })
  const deltas = deltasOf(
    layers,
    ({ ggufName }) => `${ggufName}.weight`,
    ({ A, B, s, order }) => M.scale(M.multiply(reordered(B, order), A), s),
  )
  return { files: { 'adapter.gguf': gguf(keys, Object.fromEntries(tensors), type) }, deltas }
}

function asMlx(layers, { config, targets }) {
  const scales = new Set(layers.map(({ s }) => s))
  const scale = scales.size === 1 ? layers[0].s : 1
  const tensors = layers.flatMap(({ path, A, B, s, m }) => [
    [`${path}.lora_a`, f32(M.transpose(A))],
    [`${path}.lora_b`, f32(M.transpose(rounded(M.scale(B, s / scale))))],
    ...(m ? [[`${path}.m`, { dtype: 'F32', shape: [m.length], data: m }]] : []),
  ])
  const answer = {
    fine_tune_type: config.use_dora ? 'dora' : 'lora',
    num_layers: -1,
    lora_parameters: { rank: config.r, scale, dropout: 0, keys: targets },
  }
  const files = {
    'adapter_config.json': jsonText(answer),
    'adapters.safetensors': safetensors(Object.fromEntries(tensors), { format: 'mlx' }),
  }
  return { files, deltas: deltasOf(layers, ({ path }) => path) }
}

function asPortable(layers, { config, targets }) {
  const most = Math.max(...layers.map(({ r }) => r))
  const padded = layers.map(layer => {
    const { A, B, r, s } = layer
    return {
      ...layer,
      A: M.matrix(most, A.cols, (i, j) => (i < r ? A.data[i * A.cols + j] : 0)),
      B: M.matrix(B.rows, most, (i, j) => (j < r ? Math.fround(s * B.data[i * r + j]) : 0)),
    }
  })
  const plain = { use_rslora: false, rank_pattern: {}, alpha_pattern: {} }
  const files = {
    'adapter_config.json': configText({ ...config, r: most, lora_alpha: most, ...plain }, targets),
    'adapter_model.safetensors': safetensors(peftTensors(padded), { format: 'pt' }),
  }
  return { files, deltas: deltasOf(layers, ({ path }) => path) }
}

const FORMATS = { gguf: asGguf, mlx: asMlx, portable: asPortable }

export function makeExport(folder) {
  for (const [name, own] of Object.entries(CASES)) {
    const { kind, base, targets, config, exact = false, outtype } = own
    const layers = layersOf(name, own)
    const { files, deltas } = FORMATS[kind](layers, own)
    // Factors that are rounded once: 2⁻²⁴ of themselves, and once more for another order of products.
    const tolerance = { values: exact ? 0 : 2 ** -23, delta: exact ? 1e-12 : rounding(layers) }
    const json = {
      case: name,
      family: 'export',
      kind,
      outtype,
      tolerance,
      outputs: Object.keys(deltas),
    }
    const expected = Object.entries(files).map(([file, bytes]) => [`expected/${file}`, bytes])
    const all = {
      'case.json': jsonText(json),
      'data.safetensors': safetensors(deltas),
      'base/config.json': sortedJson(base),
      'adapter/adapter_config.json': configText(config, targets),
      'adapter/adapter_model.safetensors': safetensors(peftTensors(layers), { format: 'pt' }),
      ...Object.fromEntries(expected),
    }
    const paths = Object.entries(all).map(([file, bytes]) => [`export/${name}/${file}`, bytes])
    writeFiles(folder, Object.fromEntries(paths))
  }
}
