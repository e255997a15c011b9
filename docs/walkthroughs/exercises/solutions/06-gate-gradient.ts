/**
 * The gradient of a gate. Shut, it passes nothing back, neither to y nor to its own logits: a gate that is shut
 * everywhere no longer learns. Wide open, y gets everything, and the logits again nothing.
 */
export const sigmoid = (a: number): number => 1 / (1 + Math.exp(-a))

/** @returns one entry for each of `y` */
export function gateGradients(
  dOut: readonly number[],
  y: readonly number[],
  logits: readonly number[],
): { dy: number[]; dLogits: number[] } {
  const scores = logits.map(sigmoid)
  return {
    dy: dOut.map((d, i) => d * scores[i]),
    dLogits: dOut.map((d, i) => d * y[i] * scores[i] * (1 - scores[i])),
  }
}
