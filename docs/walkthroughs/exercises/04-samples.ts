/**
 * Exercise: samples that see the fault.
 *
 * An operation cuts numbers off at 3: y = min(x, 3), elementwise. Its gradient is dy below 3 and 0 above. The test holds two
 * versions of it, one right and one that passes dy everywhere, and checks both on your samples.
 *
 * TODO: draw tensors on which the wrong one fails and the right one holds. `draw.tensor(shape, { low, high, away })` draws
 * from low to high (-2 to 2 unless given) and keeps away from the points in `away`. Where may no sample lie?
 */
import type { Draw, Tensor } from 'sluice'

export function samples(draw: Draw): [Tensor] {
  return [draw.tensor(draw.shape())]
}
