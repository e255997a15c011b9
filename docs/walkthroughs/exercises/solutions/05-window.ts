/** A mask that is open on a band of `window` diagonals, the main one and those below it. */
import { type Tensor, tensor } from 'sluice'

export function windowMask(T: number, window: number): Tensor {
  const row = (t: number) => Array.from({ length: T }, (_, s) => (s <= t && s > t - window ? 0 : -Infinity))
  return tensor(Array.from({ length: T }, (_, t) => row(t)))
}
