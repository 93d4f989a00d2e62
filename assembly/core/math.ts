// Transcendental functions of four f32 lanes, from + - * / and bit operations alone: the same bits
// on every engine, and a lane's result never depends on the other lanes. Largest errors over all
// f32, measured by test/backends/wasm/math.test.ts, in units in the last place (ulp) of the result:
//   exp 0.85   log 0.80   tanh 1.86   sigmoid 1.98   erf 1.19   sin, cos 1.58 (|x| <= 1e6)
export { erf_f32x4 } from './math/erf'
export { exp_f32x4 } from './math/exp'
export { log_f32x4 } from './math/log'
export { sigmoid_f32x4, tanh_f32x4 } from './math/sigmoid'
export { cos_f32x4, sin_f32x4 } from './math/sin'
