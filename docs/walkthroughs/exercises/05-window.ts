/**
 * Exercise: attention that looks back a few positions only.
 *
 * TODO: the mask [T, T] to add to scores: 0 where position t may look at position s, -Infinity elsewhere. It may look at
 * itself and at the `window - 1` positions before. This is the causal mask; it looks back without end.
 */
import { type Tensor, tensor } from 'sluice'

export function windowMask(T: number, window: number): Tensor {
  const row = (t: number) => Array.from({ length: T }, (_, s) => (s <= t && window > 0 ? 0 : -Infinity))
  return tensor(Array.from({ length: T }, (_, t) => row(t)))
}
