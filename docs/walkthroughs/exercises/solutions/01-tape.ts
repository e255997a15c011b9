/** The walk back, on a tape: from the last value to the first, each hands on its gradient times the slope. */
export interface Step {
  readonly inputs: readonly number[]
  readonly slopes: readonly number[]
}

export function gradients(tape: readonly Step[]): number[] {
  const found = tape.map(() => 0)
  found[tape.length - 1] = 1
  for (let i = tape.length - 1; i >= 0; i--) {
    tape[i].inputs.forEach((input, k) => {
      found[input] += tape[i].slopes[k] * found[i]
    })
  }
  return found
}
