/** Slopes by nudging in both directions: the curvature cancels, and the error falls with the square of the step. */
export function slopeOf(f: (x: number) => number, x: number, h = 1e-5): number {
  return (f(x + h) - f(x - h)) / (2 * h)
}

export function gradientOf(f: (...inputs: number[]) => number, inputs: readonly number[], h = 1e-5): number[] {
  return inputs.map((input, i) => slopeOf((x) => f(...inputs.map((other, j) => (i === j ? x : other))), input, h))
}
