// Transcendental functions in f64 from + - * / alone, because those of Math differ between engines
// (up to 4 ulp): schedules, bias correction, rotary tables, normal draws and the reference loops
// give the same bits everywhere. Special values are those of Math.
export { erf } from './math/erf.ts'
export { exp, expm1 } from './math/exp.ts'
export { log, log1p } from './math/log.ts'
export { positivePower, pow } from './math/pow.ts'
export { sigmoid, tanh } from './math/sigmoid.ts'
export { cos, cosTurns, sin, sinTurns } from './math/sin.ts'
