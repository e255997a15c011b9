/** Numbers on both sides of 3, and none at 3: there is a kink, on which nudging and gradient rightly differ. */
import type { Draw, Tensor } from 'sluice'

export function samples(draw: Draw): [Tensor] {
  return [draw.tensor(draw.shape(), { low: 0, high: 6, away: [3] })]
}
