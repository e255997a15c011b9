/**
 * The gated delta rule where the device has it as fused kernels: two launches, with a gradient by hand.
 *
 * A gradient that is itself recorded goes through the composition, which can be differentiated again.
 */
import {
  DELTA_CHUNK,
  DELTA_MOST_WIDTH,
  gatedDeltaBackward,
  gatedDeltaForward,
  RECURRENT_SEGMENT,
  recurrentDeltaBackward,
  recurrentDeltaForward,
} from '../../kernels/fused-delta.ts'
import type { FusedKernel } from '../../kernels/kernel.ts'
import { isRecording, noGrad, recordAll } from '../autograd/tape.ts'
import { full } from '../tensor/create.ts'
import { fuses, launchFused } from '../tensor/launch.ts'
import type { Shape } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { composedGradients } from './composed.ts'
import { add, mul } from './elementwise.ts'
import { pad, slice } from './parts.ts'
import { sum } from './reduce.ts'

/** q, k [B, T, H, K], v [B, T, H, V], g, beta [B, T, H], state [B, H, K, V]. */
export type DeltaOperands = readonly [q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor, state: Tensor]

/** out [B, T, H, V] and the memory after the last step [B, H, K, V]. */
export interface DeltaResults {
  out: Tensor
  state: Tensor
}

interface FusedRule {
  readonly mode: 'recurrent' | 'chunked'
  /** Takes the operands and sizes; gives out, the last state, and what it saves. */
  readonly forward: FusedKernel
  /** Takes the operands, some of the forward kernel's results, the cotangents and sizes. */
  readonly backward: FusedKernel
  readonly mostWidth: number
  /** Shapes of what the forward kernel saves. */
  saved(B: number, T: number, H: number, K: number, V: number): Shape[]
  /** Which of the forward kernel's results the backward kernel takes. */
  taken(results: readonly Tensor[]): readonly Tensor[]
}

const rules: readonly FusedRule[] = [
  {
    mode: 'chunked',
    forward: gatedDeltaForward,
    backward: gatedDeltaBackward,
    mostWidth: DELTA_MOST_WIDTH,
    saved: (B, T, H) => {
      const chunks = [B, H, Math.ceil(T / DELTA_CHUNK), DELTA_CHUNK]
      return [
        [...chunks, 2],
        [...chunks, DELTA_CHUNK],
        [...chunks, DELTA_CHUNK],
      ]
    },
    taken: ([, , ...saved]) => saved,
  },
  {
    mode: 'recurrent',
    forward: recurrentDeltaForward,
    backward: recurrentDeltaBackward,
    mostWidth: Number.POSITIVE_INFINITY,
    saved: (B, T, H, K, V) => [
      [B, T, H],
      [B, T, H, V],
      [B, H, Math.ceil(T / RECURRENT_SEGMENT), V, K],
    ],
    taken: ([out, , ...saved]) => [out, ...saved],
  },
]

/**
 * The fused kernels that compute the rule of these operands, if there are any: none is empty, the device has them.
 *
 * @param mode 'recurrent' takes kernels that go step by step only; 'chunked' leaves the form to the device
 */
export function fusedRule(operands: DeltaOperands, mode: 'recurrent' | 'chunked'): FusedRule | undefined {
  const [q, , v, , , state] = operands
  if (state.size === 0 || q.size === 0 || operands.some((t) => t.dtype === 'int32')) return undefined
  const width = Math.max(q.shape[3], v.shape[3])
  return rules
    .filter((rule) => mode === 'chunked' || rule.mode === mode)
    .find(({ forward, backward, mostWidth }) => width <= mostWidth && fuses(forward, q) && fuses(backward, q))
}

/**
 * The rule by fused kernels.
 *
 * @param rule what `fusedRule` gave
 * @param compose the same function of the same operands, by ordinary operations
 */
export function fusedDelta(
  rule: FusedRule,
  operands: DeltaOperands,
  scale: number,
  compose: (...operands: DeltaOperands) => DeltaResults,
): DeltaResults {
  const [q, k, v, g, beta, first] = operands
  const [K, V] = [q.shape[3], v.shape[3]]
  const [moreK, moreV] = [K, V].map((width) => (4 - (width % 4)) % 4)
  if (moreK === 0 && moreV === 0) return fusedAligned(rule, operands, scale, compose)
  // The kernels read vectors of 4: zeros beside the keys and values, which the results are then taken out of.
  const wider = (x: Tensor, ...more: [number, number]) =>
    pad(x, [
      [0, 0],
      [0, 0],
      [0, more[0]],
      [0, more[1]],
    ])
  const { out, state } = fusedAligned(
    rule,
    [wider(q, 0, moreK), wider(k, 0, moreK), wider(v, 0, moreV), g, beta, wider(first, moreK, moreV)],
    scale,
    compose,
  )
  return { out: slice(out, [null, null, null, [0, V]]), state: slice(state, [null, null, [0, K], [0, V]]) }
}

/** The two launches, for K and V that are multiples of 4. */
function fusedAligned(
  rule: FusedRule,
  operands: DeltaOperands,
  scale: number,
  compose: (...operands: DeltaOperands) => DeltaResults,
): DeltaResults {
  const [q, , v, , , first] = operands
  const [B, T, H, K] = q.shape
  const V = v.shape[3]
  const sizes = [B, T, H, K, V, scale]
  const saved = rule.saved(B, T, H, K, V)
  const results = noGrad(() => launchFused(rule.forward, [v.shape, first.shape, ...saved], [...operands, ...sizes]))
  const [out, state] = results
  recordAll('gatedDeltaRule', operands, [out, state], ([dout, dstate]) => {
    if (isRecording()) return composedAdjoint(operands, dout, dstate, compose)
    const { device } = q
    const cotangents = [dout ?? full(v.shape, 0, { device }), dstate ?? full(first.shape, 0, { device })]
    const shapes = operands.map((t) => t.shape)
    const given = [...operands, ...rule.taken(results), ...cotangents, ...sizes]
    return launchFused(rule.backward, shapes, given)
  })
  return { out, state }
}

/** Gradients of <out, dout> + <state, dstate>, by the composition. */
function composedAdjoint(
  operands: DeltaOperands,
  dout: Tensor | undefined,
  dstate: Tensor | undefined,
  compose: (...operands: DeltaOperands) => DeltaResults,
): Tensor[] {
  return composedGradients(
    (...fresh) => {
      const { out, state } = compose(...(fresh as unknown as DeltaOperands))
      const terms: Tensor[] = []
      if (dout) terms.push(sum(mul(out, dout)))
      if (dstate) terms.push(sum(mul(state, dstate)))
      return terms.reduce(add)
    },
    operands,
    full([], 1, { device: operands[0].device }),
  )
}
