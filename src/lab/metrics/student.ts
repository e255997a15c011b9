/**
 * Student's t distribution with a whole number ν of degrees of freedom, by its finite sums.
 *
 * With θ = atan(t / sqrt(ν)) the share of |T| up to t is (Abramowitz and Stegun, 26.7.3 and 26.7.4)
 *
 *   ν odd:   2/π (θ + sin θ (cos θ + 2/3 cos³θ + ... + (2·4···(ν-3)) / (3·5···(ν-2)) cos^(ν-2) θ))
 *   ν even:  sin θ (1 + 1/2 cos²θ + (1·3)/(2·4) cos⁴θ + ... + (1·3···(ν-3)) / (2·4···(ν-2)) cos^(ν-2) θ)
 */
import { SluiceError } from '../../errors.ts'

/** P(|T| <= sqrt(freedom) tan(angle)), angle from 0 to π/2. */
function shareWithin(angle: number, freedom: number): number {
  const [sin, cos] = [Math.sin(angle), Math.cos(angle)]
  const isOdd = freedom % 2 === 1
  let term = isOdd ? cos : 1
  let sum = freedom === 1 ? 0 : term
  for (let k = isOdd ? 3 : 2; k < freedom; k += 2) {
    term *= ((k - 1) / k) * cos * cos
    sum += term
  }
  return isOdd ? (2 / Math.PI) * (angle + sin * sum) : sin * sum
}

/**
 * The t that |T| stays within with this probability: half the width of a two-sided interval, in standard errors.
 *
 * @param freedom ν, an integer from 1 up; the time is proportional to it
 * @param probability between 0 and 1; 0.95 unless given
 * @throws SluiceError for other arguments
 *
 * @example
 * studentQuantile(2) // 4.3027, for the mean of three seeds
 */
export function studentQuantile(freedom: number, probability = 0.95): number {
  if (!(Number.isSafeInteger(freedom) && freedom >= 1)) {
    throw new SluiceError('studentQuantile', `freedom must be an integer from 1 up, got ${freedom}`)
  }
  if (!(probability > 0 && probability < 1)) {
    throw new SluiceError('studentQuantile', `probability must lie between 0 and 1, got ${probability}`)
  }
  // The share rises with the angle. 60 halvings leave nothing of π/2 that a float64 could tell.
  let [low, high] = [0, Math.PI / 2]
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2
    if (shareWithin(middle, freedom) < probability) low = middle
    else high = middle
  }
  return Math.sqrt(freedom) * Math.tan((low + high) / 2)
}
