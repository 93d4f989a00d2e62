// Every kernel by the name of its reference loops.

import { absKernels } from './abs.ts'
import { adafactorKernels } from './adafactor.ts'
import { adamKernels } from './adam.ts'
import { addKernels } from './add.ts'
import { amaxKernels } from './amax.ts'
import { argmaxKernels } from './argmax.ts'
import { attentionKernels } from './attention.ts'
import { binaryCrossEntropyKernels } from './binary_cross_entropy_with_logits.ts'
import { castKernels } from './cast.ts'
import { convKernels } from './conv2d.ts'
import { copyKernels } from './copy.ts'
import { crossEntropyKernels } from './cross_entropy.ts'
import { cumsumKernels } from './cumsum.ts'
import { divKernels } from './div.ts'
import { dropoutKernels } from './dropout.ts'
import { embeddingKernels } from './embedding.ts'
import { erfKernels } from './erf.ts'
import { expKernels } from './exp.ts'
import { gatherKernels } from './gather.ts'
import { geluKernels } from './gelu.ts'
import { gradientNormKernels } from './gradient_norm.ts'
import { indexSelectKernels } from './index_select.ts'
import { klDivKernels } from './kl_div.ts'
import { layerNormKernels } from './layer_norm.ts'
import { linearKernels } from './linear.ts'
import { linearCrossEntropyKernels } from './linear_cross_entropy.ts'
import { logKernels } from './log.ts'
import { logSoftmaxKernels } from './log_softmax.ts'
import { logsumexpKernels } from './logsumexp.ts'
import type { KernelSources } from './machine.ts'
import { matmulKernels } from './matmul.ts'
import { maximumKernels } from './maximum.ts'
import { minimumKernels } from './minimum.ts'
import { mseLossKernels } from './mse_loss.ts'
import { mulKernels } from './mul.ts'
import { negKernels } from './neg.ts'
import { powKernels } from './pow.ts'
import { prodKernels } from './prod.ts'
import { reluKernels } from './relu.ts'
import { rmsNormKernels } from './rms_norm.ts'
import { ropeKernels } from './rope.ts'
import { rsqrtKernels } from './rsqrt.ts'
import { sgdKernels } from './sgd.ts'
import { sigmoidKernels } from './sigmoid.ts'
import { siluKernels } from './silu.ts'
import { softmaxKernels } from './softmax.ts'
import { sqrtKernels } from './sqrt.ts'
import { subKernels } from './sub.ts'
import { sumKernels } from './sum.ts'
import { sumSquaresKernels } from './sum_squares.ts'
import { swigluKernels } from './swiglu.ts'
import { tanhKernels } from './tanh.ts'
import { whereKernels } from './where.ts'

export const kernelSources: KernelSources = {
  ...absKernels,
  ...adafactorKernels,
  ...adamKernels,
  ...addKernels,
  ...amaxKernels,
  ...argmaxKernels,
  ...attentionKernels,
  ...binaryCrossEntropyKernels,
  ...castKernels,
  ...convKernels,
  ...copyKernels,
  ...crossEntropyKernels,
  ...cumsumKernels,
  ...divKernels,
  ...dropoutKernels,
  ...embeddingKernels,
  ...erfKernels,
  ...expKernels,
  ...gatherKernels,
  ...geluKernels,
  ...gradientNormKernels,
  ...indexSelectKernels,
  ...klDivKernels,
  ...layerNormKernels,
  ...linearKernels,
  ...linearCrossEntropyKernels,
  ...logKernels,
  ...logSoftmaxKernels,
  ...logsumexpKernels,
  ...matmulKernels,
  ...maximumKernels,
  ...minimumKernels,
  ...mseLossKernels,
  ...mulKernels,
  ...negKernels,
  ...powKernels,
  ...prodKernels,
  ...reluKernels,
  ...rmsNormKernels,
  ...ropeKernels,
  ...rsqrtKernels,
  ...sgdKernels,
  ...sigmoidKernels,
  ...siluKernels,
  ...softmaxKernels,
  ...sqrtKernels,
  ...subKernels,
  ...sumKernels,
  ...sumSquaresKernels,
  ...swigluKernels,
  ...tanhKernels,
  ...whereKernels,
}
