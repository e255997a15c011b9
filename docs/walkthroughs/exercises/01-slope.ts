/**
 * Exercise: slopes by nudging.
 *
 * TODO: `slopeOf` returns the nudge (f(x + h) - f(x - h)) / 2h. `gradientOf` does so for each input of a function of
 * several numbers, and leaves the others where they are.
 */
export function slopeOf(f: (x: number) => number, x: number, h = 1e-5): number {
  return f(x + h)
}

/** @returns a slope for every number in `inputs`; `inputs` itself is not changed */
export function gradientOf(f: (...inputs: number[]) => number, inputs: readonly number[], h = 1e-5): number[] {
  return inputs.map(() => f(...inputs) * h)
}
