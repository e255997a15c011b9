/**
 * The gate of attention: act(a) and its slope, for the activations of `attentionActivations`.
 *
 *   Y' = Y ⊙ act(a)     dY = dY' ⊙ act(a)    da = dY' ⊙ Y ⊙ act'(a)        multiplied
 *   Y' = Y + act(a)     dY = dY'             da = dY' ⊙ act'(a)            added
 */
import type { attentionActivations } from '../../fused-attention.ts'
import type { FunctionBuilder } from './assembler.ts'
import { exp, expConstants } from './attention-exp.ts'
import { f32x4, type Value } from './instructions.ts'

export interface Gating {
  /** One score for a head's row, or one for each of its elements. */
  readonly headwise: boolean
  readonly activation: (typeof attentionActivations)[number]
  readonly additive: boolean
}

/** Constants in locals, made once a function. */
export function gateConstants(f: FunctionBuilder) {
  return {
    exp: expConstants(f),
    one: f.local('v128', f32x4.splat(1)),
    half: f.local('v128', f32x4.splat(0.5)),
  }
}

type Constants = ReturnType<typeof gateConstants>

const logistic = (f: FunctionBuilder, a: Value<'v128'>, { exp: constants, one }: Constants) =>
  f.local('v128', f32x4.div(one, f32x4.add(one, exp(f, f32x4.neg(a), constants))))

/** act(a). */
export function activate(
  f: FunctionBuilder,
  { activation }: Gating,
  a: Value<'v128'>,
  constants: Constants,
): Value<'v128'> {
  if (activation === 'identity') return a
  const s = logistic(f, a, constants)
  if (activation === 'sigmoid') return s
  if (activation === 'silu') return f32x4.mul(a, s)
  return f.madd(s, constants.half, constants.half)
}

/** act(a) and act'(a). */
export function activateWithSlope(
  f: FunctionBuilder,
  { activation }: Gating,
  a: Value<'v128'>,
  constants: Constants,
): { value: Value<'v128'>; slope: Value<'v128'> } {
  const { one, half } = constants
  if (activation === 'identity') return { value: a, slope: one }
  const s = logistic(f, a, constants)
  const slope = f.local('v128', f32x4.mul(s, f32x4.sub(one, s)))
  if (activation === 'sigmoid') return { value: s, slope }
  if (activation === 'silu') return { value: f32x4.mul(a, s), slope: f.madd(a, slope, s) }
  return { value: f.madd(s, half, half), slope: f32x4.mul(half, slope) }
}
