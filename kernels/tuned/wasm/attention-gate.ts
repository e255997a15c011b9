/**
 * The gate of attention: act(a) and its slope, for the activations of `attentionActivations`.
 *
 *   Y' = Y ⊙ act(a)     dY = dY' ⊙ act(a)    da = dY' ⊙ Y ⊙ act'(a)        multiplied
 *   Y' = Y + act(a)     dY = dY'             da = dY' ⊙ act'(a)            added
 */
import type { attentionActivations } from '../../fused-attention.ts'
import type { FunctionBuilder } from './assembler.ts'
import { f32x4 } from './instructions.ts'
import { Constants, exponentialBelow0, sigmoid, type Vector } from './math.ts'

export interface Gating {
  /** One score for a head's row, or one for each of its elements. */
  readonly headwise: boolean
  readonly activation: (typeof attentionActivations)[number]
  readonly additive: boolean
}

/**
 * The activation's functions of vectors, with their constants made where this is stated. Both may be asked for one vector:
 * what they share is computed once.
 */
export function gateFunctions(f: FunctionBuilder, { activation }: Gating) {
  const constants = new Constants(f)
  const [one, half] = [constants.float(1), constants.float(0.5)]
  const logistic = sigmoid(f, constants, exponentialBelow0(f, constants))
  const keep = (x: Vector) => f.local('v128', x)

  const activate = (given: Vector): { a: Vector; s: Vector; value: Vector } => {
    const a = keep(given)
    if (activation === 'identity') return { a, s: one, value: a }
    const s = keep(logistic(a))
    if (activation === 'sigmoid') return { a, s, value: s }
    if (activation === 'silu') return { a, s, value: keep(f32x4.mul(a, s)) }
    return { a, s, value: keep(f.madd(s, half, half)) }
  }
  const slope = ({ a, s }: { a: Vector; s: Vector }): Vector => {
    if (activation === 'identity') return one
    const own = keep(f32x4.mul(s, f32x4.sub(one, s)))
    if (activation === 'sigmoid') return own
    return activation === 'silu' ? f.madd(a, own, s) : f32x4.mul(half, own)
  }
  return {
    /** act(a). */
    value: (a: Vector): Vector => activate(a).value,
    /** act(a) and act'(a). */
    valueAndSlope(a: Vector): { value: Vector; slope: Vector } {
      const activated = activate(a)
      return { value: activated.value, slope: keep(slope(activated)) }
    },
  }
}
