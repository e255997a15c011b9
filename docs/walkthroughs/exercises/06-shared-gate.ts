/**
 * Exercise: one gate for all heads.
 *
 * The paper's head-shared gate has logits for every head, as the elementwise gate has. Each is activated by the
 * sigmoid; then the scores are averaged over the heads, and all heads are multiplied by the same mean.
 *
 * TODO: the mean. B batch, T time, H heads, D head width.
 */
import type { Tensor } from 'sluice'

/** @param y, logits [B, T, H, D] */
export function sharedGate(y: Tensor, logits: Tensor): Tensor {
  return y.mul(logits.sigmoid())
}
