/** A program whose rate changes: what changes between replays is given as a tensor, of the same shape each time. */
import { type Captured, capture, type Tensor, tensor } from 'sluice'

export interface Average {
  /** @returns the new average */
  mix(average: Tensor, x: Tensor, rate: number): Tensor
  readonly program: Captured<Tensor[], Tensor>
}

export function makeAverage(): Average {
  const program = capture((average: Tensor, x: Tensor, rate: Tensor) => average.add(x.sub(average).mul(rate)))
  return {
    mix: (average, x, rate) => program(average, x, tensor(rate, { device: x.device })),
    program: program as unknown as Captured<Tensor[], Tensor>,
  }
}
