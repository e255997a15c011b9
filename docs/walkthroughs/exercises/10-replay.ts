/**
 * Exercise: a program that goes on with an old number.
 *
 * `makeAverage` gives a function that mixes each value it is given into a running average: average + rate × (x -
 * average). The rate may change from call to call. It is captured, so that calls are replays; and a replay repeats
 * what was recorded, the number included, and never asks again.
 *
 * TODO: have every call use the rate of that call, with one program for all of them. A number as an argument will
 * not do: each new one is another program. What can change between replays?
 */
import { type Captured, capture, type Tensor } from 'sluice'

export interface Average {
  /** @returns the new average */
  mix(average: Tensor, x: Tensor, rate: number): Tensor
  readonly program: Captured<Tensor[], Tensor>
}

export function makeAverage(): Average {
  let current = 0
  const program = capture((average: Tensor, x: Tensor) => average.add(x.sub(average).mul(current)))
  return {
    mix(average, x, rate) {
      current = rate
      return program(average, x)
    },
    program: program as unknown as Captured<Tensor[], Tensor>,
  }
}
