/** Several map kernels in one pass: what one gives another stays in registers, and what none reads is not stored. */
import type { MapKernel } from '../../../kernel.ts'
import { type Expression, Expressions } from './expression.ts'
import { mostInputs } from './layout.ts'
import type { Program } from './program.ts'

/** What a map reads: an operand of the fused launch, or the result of an earlier map, element by element. */
export type FusedOperand = { readonly input: number } | { readonly map: number }

export interface FusedMap {
  readonly kernel: MapKernel
  readonly operands: readonly FusedOperand[]
}

/**
 * The program that computes the results of several maps over the same grid. Its constants are those of all maps, one after
 * the other. Results are the same bits as those of the maps one by one, but for what a NaN holds.
 *
 * @param outputs positions of the maps whose results are stored
 * @param programOf gives a kernel's program
 * @returns undefined where one of the maps has no program, or there are more operands than `mostInputs`
 */
export function fuseMaps(
  maps: readonly FusedMap[],
  outputs: readonly number[],
  programOf: (kernel: MapKernel) => Program | undefined,
): Program | undefined {
  const expressions = new Expressions()
  const results: Expression[] = []
  let inputs = 0
  let constants = 0
  for (const { kernel, operands } of maps) {
    const program = programOf(kernel)
    if (!program) return undefined
    const given = operands.map((operand) =>
      'map' in operand ? results[operand.map] : expressions.input(operand.input),
    )
    const done = new Map<Expression, Expression>()
    for (const each of program.expressions.within(program.outputs)) {
      let made: Expression
      if (each.operation === 'input') made = given[each.value]
      else if (each.operation === 'constant') made = expressions.constant(constants + each.value)
      else
        made = expressions.copy(
          each,
          each.operands.map((operand) => done.get(operand)!),
        )
      done.set(each, made)
    }
    results.push(done.get(program.outputs[0])!)
    constants += program.constants
    for (const operand of operands) if ('input' in operand) inputs = Math.max(inputs, operand.input + 1)
  }
  if (inputs > mostInputs) return undefined
  return { expressions, inputs, constants, outputs: outputs.map((map) => results[map]) }
}
