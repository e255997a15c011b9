/** One gate for all heads: the scores' mean over axis 2, kept as an axis of length 1, broadcasts over the heads. */
import type { Tensor } from 'sluice'

/** @param y, logits [B, T, H, D] */
export function sharedGate(y: Tensor, logits: Tensor): Tensor {
  return y.mul(logits.sigmoid().mean({ axis: 2, keepdim: true }))
}
