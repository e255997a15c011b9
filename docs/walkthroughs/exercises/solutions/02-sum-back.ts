/** The sum back: each number of the gradient is added where broadcasting read from. */
export function sumBack(gradient: Float64Array, from: readonly number[], to: readonly number[]): Float64Array {
  const result = new Float64Array(to.reduce((product, n) => product * n, 1))
  const missing = from.length - to.length
  gradient.forEach((value, place) => {
    // The index of `place`, from the last axis to the first, and with it the place in `to`.
    let [rest, target, stride] = [place, 0, 1]
    for (let axis = from.length - 1; axis >= missing; axis--) {
      const size = to[axis - missing]
      if (size !== 1) target += (rest % from[axis]) * stride
      stride *= size
      rest = Math.floor(rest / from[axis])
    }
    result[target] += value
  })
  return result
}
