// Kernels whose operands broadcast: y[yOffset + r·cols + c] = f of one element of each operand, which
// moves by strides of its own, 0 to repeat (src/ops/broadcast.ts).

import type { Program } from './program.ts'

/** `operands` are the names that the formula uses, `a` or `mask:i32`. */
export function broadcast(
  operands: string,
  formula: string,
  uses: readonly string[] = [],
): Program {
  const list = operands.split(' ').map(operand => {
    const [name, type = 'f32'] = operand.split(':')
    return { name, type }
  })
  const parameters = list.map(
    ({ name, type }) => `from_${name}:[${type}] ${name}Offset:u32 ${name}Row:u32 ${name}Column:u32`,
  )
  const reads = list.map(
    ({ name }) =>
      `let ${name} = from_${name}[p.${name}Offset + row * p.${name}Row + column * p.${name}Column];`,
  )
  return {
    parameters: `${parameters.join(' ')} y:[f32]! yOffset:u32 rows:u32 cols:u32`,
    threads: ({ rows, cols }) => rows * cols,
    uses,
    code: `
  let row = thread / p.cols;
  let column = thread % p.cols;
  ${reads.join('\n  ')}
  y[p.yOffset + thread] = ${formula};`,
  }
}
