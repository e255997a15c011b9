/**
 * Attention where the device has it as fused kernels: one launch forward and one back, without the scores in memory.
 *
 * A gradient that is itself recorded goes through the composition, which can be differentiated again.
 */
import {
  ATTENTION_MOST_WIDTH,
  attentionActivations,
  attentionBackward,
  attentionForward,
  gatedAttentionBackward,
  gatedAttentionForward,
} from '../../kernels/fused-attention.ts'
import { isRecording, noGrad, record } from '../autograd/tape.ts'
import { fuses, launchFused } from '../tensor/launch.ts'
import { sameShape } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { composedGradients } from './composed.ts'

/** What the fused kernels need to know beside the operands. */
export interface FusedAttention {
  readonly causal: boolean
  readonly scale: number
  readonly gate?: Tensor
  readonly activation: (typeof attentionActivations)[number]
  readonly additive: boolean
}

/**
 * Whether fused kernels compute attention of these operands: the device has them; keys and values are of one width, a
 * multiple of 4 up to 128; none is empty; causal queries are no more than keys; and the gate, if there is one, is
 * [B, T, H, D] or [B, T, H]. A mask or a gate shared by heads runs the composition.
 */
export function fusesAttention(q: Tensor, k: Tensor, v: Tensor, { causal, gate }: FusedAttention): boolean {
  const [, T, , D] = q.shape
  if (D % 4 !== 0 || D > ATTENTION_MOST_WIDTH || v.shape[3] !== D) return false
  if (q.size === 0 || k.size === 0 || (causal && T > k.shape[1])) return false
  if (gate && !sameShape(gate.shape, q.shape) && !sameShape(gate.shape, q.shape.slice(0, 3))) return false
  if ([q, k, v, ...(gate ? [gate] : [])].some((t) => t.dtype === 'int32')) return false
  return fuses(attentionForward, q)
}

/**
 * Attention by fused kernels. Ask `fusesAttention` first.
 *
 * @param compose the same function of q, k, v and the gate, by ordinary operations
 */
export function fusedAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  settings: FusedAttention,
  compose: (q: Tensor, k: Tensor, v: Tensor, gate?: Tensor) => Tensor,
): Tensor {
  const { causal, scale, gate, activation, additive } = settings
  const [B, T, H, D] = q.shape
  const [, S, KV] = k.shape
  const sizes = [B, T, S, H, KV, D, causal ? 1 : 0, scale]
  const rows = [B, T, H]
  if (!gate) {
    const [out, logSum] = noGrad(() => launchFused(attentionForward, [q.shape, rows], [q, k, v, ...sizes]))
    return record('attention', [q, k, v], out, (dout) => {
      if (isRecording()) return composedGradients((...fresh) => compose(fresh[0], fresh[1], fresh[2]), [q, k, v], dout)
      const shapes = [q.shape, k.shape, v.shape]
      return launchFused(attentionBackward, shapes, [dout, out, logSum, q, k, v, ...sizes])
    })
  }
  const headwise = gate.rank === 3 ? 1 : 0
  const numbers = [...sizes, headwise, attentionActivations.indexOf(activation), additive ? 1 : 0]
  const [out, logSum, ungated] = noGrad(() =>
    launchFused(gatedAttentionForward, [q.shape, rows, q.shape], [q, k, v, gate, ...numbers]),
  )
  return record('attention', [q, k, v, gate], out, (dout) => {
    if (isRecording()) {
      return composedGradients((...fresh) => compose(fresh[0], fresh[1], fresh[2], fresh[3]), [q, k, v, gate], dout)
    }
    const shapes = [q.shape, k.shape, v.shape, gate.shape]
    return launchFused(gatedAttentionBackward, shapes, [dout, ungated, logSum, q, k, v, gate, ...numbers])
  })
}
