/**
 * The gated delta rule where the device has it as fused kernels: two launches, with a gradient by hand.
 *
 * A gradient that is itself recorded goes through the composition, which can be differentiated again.
 */
import { DELTA_CHUNK, DELTA_MOST_WIDTH, gatedDeltaBackward, gatedDeltaForward } from '../../kernels/fused-delta.ts'
import { isRecording, noGrad, recordAll } from '../autograd/tape.ts'
import { full } from '../tensor/create.ts'
import { fuses, launchFused } from '../tensor/launch.ts'
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

/** Whether fused kernels compute the rule of these operands: the device has them, K and V lie in 1 to 256, none is empty. */
export function fusesDelta(operands: DeltaOperands): boolean {
  const [q, , v, , , state] = operands
  const [K, V] = [q.shape[3], v.shape[3]]
  if (state.size === 0 || q.size === 0 || K > DELTA_MOST_WIDTH || V > DELTA_MOST_WIDTH) return false
  if (operands.some((t) => t.dtype === 'int32')) return false
  return fuses(gatedDeltaForward, q) && fuses(gatedDeltaBackward, q)
}

/**
 * The rule by fused kernels. Ask `fusesDelta` first.
 *
 * @param compose the same function of the same operands, by ordinary operations
 */
export function fusedDelta(
  operands: DeltaOperands,
  scale: number,
  compose: (...operands: DeltaOperands) => DeltaResults,
): DeltaResults {
  const [q, k, v, g, beta, first] = operands
  const [K, V] = [q.shape[3], v.shape[3]]
  const [moreK, moreV] = [K, V].map((width) => (4 - (width % 4)) % 4)
  if (moreK === 0 && moreV === 0) return fusedAligned(operands, scale, compose)
  // The kernels read vectors of 4: zeros beside the keys and values, which the results are then taken out of.
  const wider = (x: Tensor, ...more: [number, number]) =>
    pad(x, [
      [0, 0],
      [0, 0],
      [0, more[0]],
      [0, more[1]],
    ])
  const { out, state } = fusedAligned(
    [wider(q, 0, moreK), wider(k, 0, moreK), wider(v, 0, moreV), g, beta, wider(first, moreK, moreV)],
    scale,
    compose,
  )
  return { out: slice(out, [null, null, null, [0, V]]), state: slice(state, [null, null, [0, K], [0, V]]) }
}

/** The two launches, for K and V that are multiples of 4. */
function fusedAligned(
  operands: DeltaOperands,
  scale: number,
  compose: (...operands: DeltaOperands) => DeltaResults,
): DeltaResults {
  const [q, , v, , , first] = operands
  const [B, T, H, K] = q.shape
  const V = v.shape[3]
  const sizes = [B, T, H, K, V, scale]
  const square = [B, H, Math.ceil(T / DELTA_CHUNK), DELTA_CHUNK]
  const [out, state, ...saved] = noGrad(() =>
    launchFused(
      gatedDeltaForward,
      [v.shape, first.shape, [...square, 2], [...square, DELTA_CHUNK], [...square, DELTA_CHUNK]],
      [...operands, ...sizes],
    ),
  )
  recordAll('gatedDeltaRule', operands, [out, state], ([dout, dstate]) => {
    if (isRecording()) return composedAdjoint(operands, dout, dstate, compose)
    const { device } = q
    const cotangents = [dout ?? full(v.shape, 0, { device }), dstate ?? full(first.shape, 0, { device })]
    const shapes = operands.map((t) => t.shape)
    return launchFused(gatedDeltaBackward, shapes, [...operands, ...saved, ...cotangents, ...sizes])
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
