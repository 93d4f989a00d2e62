// Faults to plant in the WASM kernels, where no mutation tool reaches: each replaces one piece of text
// in one file of assembly/.

export interface KernelFault {
  readonly name: string
  readonly file: string
  readonly from: string
  readonly to: string
}

const fault = (name: string, file: string, from: string, to: string): KernelFault => {
  return { name, file, from, to }
}

export const KERNEL_FAULTS: readonly KernelFault[] = [
  fault(
    'sum skips the last columns',
    'core/sum.ts',
    'for (; i < inner; i++, x',
    'for (; i < inner - 1; i++, x',
  ),
  fault(
    'sum reads a lane twice',
    'core/sum.ts',
    'low(v128.load64_zero(x, 8))',
    'low(v128.load64_zero(x))',
  ),
  fault('dropout keeps too few', 'core/dropout.ts', 'i32x4.ge_u(words', 'i32x4.gt_s(words'),
  fault('dropout does not scale', 'core/dropout.ts', 'f32x4.mul(x, scale), i32x4', 'x, i32x4'),
  fault('dropout has another round constant', 'core/dropout.ts', '0x9e3779b9', '0x9e3779b8'),
  fault('adam forgets the decay', 'core/adam.ts', 'lr * weightDecay) : 1', '0 * weightDecay) : 1'),
  fault(
    'adam couples the decay',
    'core/adam.ts',
    'decoupled ? 0 :',
    'decoupled ? <f32>weightDecay :',
  ),
  fault(
    'adam swaps its betas',
    'core/adam.ts',
    'f32x4.splat(<f32>(1 - beta2))',
    'f32x4.splat(<f32>(1 - beta1))',
  ),
  fault(
    'adam squares the momentum',
    'core/adam.ts',
    'f32x4.mul(gradient, gradient)',
    'f32x4.mul(mean, mean)',
  ),
  fault(
    'amsgrad takes the smaller',
    'core/adam.ts',
    'f32x4.max(get(single, w)',
    'f32x4.min(get(single, w)',
  ),
  fault(
    'adam corrects no bias',
    'core/adam.ts',
    '(1 - whole_power(beta2, t))',
    '(1.0 - 0.0 * whole_power(beta2, t))',
  ),
  fault(
    'softmax leaves the rest undivided',
    'reductions/softmax.ts',
    'store_first(y, f32x4.div(load_first(y, left), sums), left)',
    'store_first(y, load_first(y, left), left)',
  ),
  fault(
    'softmax adds the mean',
    'reductions/softmax.ts',
    'f32x4.sub(load_first(dy, left), means)',
    'f32x4.add(load_first(dy, left), means)',
  ),
  fault(
    'softmax forgets a product',
    'reductions/softmax.ts',
    'b = f64x2.add(b, f64x2.mul(high(u), high(v)))',
    'b = f64x2.add(b, high(u))',
  ),
  fault(
    'gather stands still',
    'reductions/gather.ts',
    'x += (<usize>size * <usize>inner) << 2',
    'x += (<usize>count * <usize>inner) << 2',
  ),
  fault(
    'scatter overwrites',
    'reductions/gather.ts',
    'load<f32>(at) + load<f32>(x)',
    'load<f32>(x)',
  ),
  fault(
    'rms_norm forgets eps',
    'transformer/rms_norm.ts',
    'sqrt<f64>(mean + eps)',
    'sqrt<f64>(mean + 100 * eps)',
  ),
  fault(
    'rms_norm weighs no rest',
    'transformer/rms_norm.ts',
    'value *= offset + load',
    'value += offset + load',
  ),
  fault(
    'rms_norm drops the slope',
    'transformer/rms_norm.ts',
    'load<f32>(x + at) * c))',
    'load<f32>(x + at)))',
  ),
  fault(
    'layer_norm adds no bias',
    'layer_norm/layer_norm.ts',
    'value += load<f32>(bias + at)',
    'value -= load<f32>(bias + at)',
  ),
  fault(
    'layer_norm keeps the mean',
    'layer_norm/layer_norm.ts',
    'load<f32>(g + at) - gMean',
    'load<f32>(g + at)',
  ),
  fault(
    'rope turns one way only',
    'transformer/rope.ts',
    'const s = sign * load<f32>(sin + at)',
    'const s = load<f32>(sin + at)',
  ),
  fault('rope ignores the offset', 'transformer/rope.ts', ': offset + (row % T)', ': (row % T)'),
  fault(
    'swiglu takes the gate twice',
    'transformer/swiglu.ts',
    'sigmoid_f32x4(x)), load_first(up + at, left))',
    'sigmoid_f32x4(x)), load_first(gate + at, left))',
  ),
  fault(
    'cross_entropy smooths without weights',
    'transformer/cross_entropy.ts',
    'const share = smoothing / <f64>classes',
    'const share = smoothing',
  ),
  fault(
    'embedding overwrites repeated rows',
    'transformer/embedding.ts',
    'load<f32>(to + at) + load<f32>(from + at)',
    'load<f32>(from + at)',
  ),
  fault(
    'gelu takes √(2/π) for √½',
    'elementwise/gelu.ts',
    'f32x4.splat(SQRT_HALF)',
    'f32x4.splat(SCALE)',
  ),
  fault(
    'gelu forgets the density',
    'elementwise/gelu.ts',
    'f32x4.add(distribution(x), f32x4.mul(x, density(x)))',
    'distribution(x)',
  ),
  fault(
    'gelu_tanh has another cubic',
    'elementwise/gelu.ts',
    'CUBIC: f32 = 0.044715',
    'CUBIC: f32 = 0.0447',
  ),
  fault(
    'strided copies skip the rest',
    'indexing/strided.ts',
    'for (; c < cols; c++)',
    'for (; c < cols - 1; c++)',
  ),
  fault(
    'conv2d shifts its patches',
    'conv/conv2d.ts',
    'const shift = j * dilW - padW',
    'const shift = j * dilW - padW + 1',
  ),
  fault(
    'conv2d adds patches twice',
    'conv/conv2d.ts',
    'load<f32>(to) + load<f32>(columns + (<usize>s << 2))',
    'load<f32>(to) + 2 * load<f32>(columns + (<usize>s << 2))',
  ),
]
