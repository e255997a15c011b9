/** Proof of a gradient by finite differences, for any function of tensors: `gradcheck`, and `gradgradcheck` one order up. */
import { SluiceError, showShape } from '../errors.ts'
import { isTensor, type Tensor } from '../tensor/tensor.ts'
import { moveArguments, showValue } from './arguments.ts'
import { type Checked, type DifferenceOptions, differences, secondDifferences } from './differences.ts'
import type { Finding } from './finding.ts'

/** What a check that passed has seen. */
export interface GradcheckResult {
  /** How many gradient elements were measured. */
  readonly elements: number
  /** The largest difference, relative to what was allowed there: at most 1. */
  readonly worst: number
}

/**
 * Compares the gradient of `fn` with central differences, for every element of every float input.
 *
 * Runs in float64 on the reference device, to which inputs are moved; each evaluation draws the same random numbers.
 * Inputs must keep away from kinks by more than `eps`.
 *
 * @param fn tensors in; a tensor, or a list or record of tensors, out
 * @param inputs float tensors of any shapes, whose gradients are checked, and int32 ones, which are passed on
 * @throws SluiceError naming the worst element: its input, index, analytic and numeric value, and the inputs that show it
 *
 * @example
 * await gradcheck((x) => x.tanh().sum(), [randn([2, 3])])
 */
export function gradcheck<Inputs extends Tensor[]>(
  fn: (...inputs: NoInfer<Inputs>) => unknown,
  inputs: readonly [...Inputs],
  options: DifferenceOptions = {},
): Promise<GradcheckResult> {
  return check('gradcheck', fn as unknown as Checked, inputs, (f, moved) => differences(f, moved, options))
}

/**
 * `gradcheck` of the gradient itself: of <gradient of fn, random projection>, with respect to the inputs and to the
 * cotangents of the outputs.
 *
 * Inputs of any shapes. In messages, the inputs after those given are the cotangents.
 *
 * @throws SluiceError as `gradcheck`
 *
 * @example
 * await gradgradcheck((x) => x.tanh().sum(), [randn([2, 3])])
 */
export function gradgradcheck<Inputs extends Tensor[]>(
  fn: (...inputs: NoInfer<Inputs>) => unknown,
  inputs: readonly [...Inputs],
  options: DifferenceOptions = {},
): Promise<GradcheckResult> {
  return check('gradgradcheck', fn as unknown as Checked, inputs, (f, moved) => secondDifferences(f, moved, options))
}

async function check(
  name: string,
  fn: Checked,
  inputs: readonly Tensor[],
  measure: (fn: Checked, moved: readonly Tensor[]) => Finding,
): Promise<GradcheckResult> {
  for (const t of inputs) {
    if (!isTensor(t)) throw new SluiceError(name, `expected a list of tensors as inputs, got ${typeof t} in it`)
  }
  if (!inputs.some((t) => t.dtype !== 'int32')) {
    throw new SluiceError(name, 'there is no float tensor among the inputs, so there is no gradient to check')
  }
  const { given, tensors } = await moveArguments(inputs, 'reference')
  const moved = given as Tensor[]
  try {
    const finding = measure(fn, moved)
    if (finding.message !== null) {
      const shown = moved.map((t, i) => `  input ${i}, ${showShape(t.shape)}: ${showValue(t)}`)
      throw new SluiceError(name, `${finding.message}. The inputs that show it:\n${shown.join('\n')}\n`)
    }
    return { elements: finding.compared, worst: finding.ratio }
  } finally {
    for (const t of tensors) t.dispose()
  }
}
