/**
 * Exercise: the sum back, with a loop of your own.
 *
 * TODO: `gradient` is a flat list that is read with the shape `from`. Return the flat list of shape `to` that holds, for
 * each number of `to`, the sum of the gradients of all places where broadcasting used it.
 *
 * `to` broadcasts to `from`: written below each other from the right, its sizes are missing, 1, or equal.
 */
export function sumBack(gradient: Float64Array, from: readonly number[], to: readonly number[]): Float64Array {
  const result = new Float64Array(to.reduce((product, n) => product * n, 1))
  // Walk over all places of `from`. For each, find the place of `to` that was used there, and add.
  result.set(gradient.subarray(0, Math.min(result.length, from.length)))
  return result
}
