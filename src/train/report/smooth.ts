/**
 * Smoothing of losses: a moving average while they come in, a local line fit when all of them are there.
 *
 * Moving average: m <- d m + (1 - d) x, shown as m / (1 - d^n); the division makes the average of the first n values
 * unbiased, as in Adam. d is the decay, n the number of values so far.
 *
 * Local line: at each point the value of the least-squares line through its neighbours, near ones weighted more, with
 * weight (1 - u^3)^3 at the share u of the reach (Cleveland 1979, LOWESS). Unlike an average that looks back it neither
 * lags behind a falling loss nor bends at the ends.
 */
import type { LossPoint } from './data.ts'

export class MovingAverage {
  readonly #decay: number
  #sum = 0
  #weight = 0

  /** @param decay share kept at each value, in [0, 1); 0 shows the last value itself. */
  constructor(decay: number) {
    this.#decay = decay
  }

  /** Takes in one value and gives the average; a value that is not finite is given back and not taken in. */
  add(value: number): number {
    if (!Number.isFinite(value)) return value
    this.#sum = this.#decay * this.#sum + (1 - this.#decay) * value
    this.#weight = this.#decay * this.#weight + (1 - this.#decay)
    return this.#sum / this.#weight
  }
}

/** A smooth curve through `points`, and how many of them each of its points looks at. */
export interface SmoothCurve {
  points: LossPoint[]
  span: number
}

/** More points than a page has pixels across are averaged first. */
const longestCurve = 2000

/** The local line fit of a whole curve; it looks at a twentieth of the points, and at five at least. */
export function smoothCurve(points: readonly LossPoint[]): SmoothCurve {
  const bucket = Math.ceil(points.length / longestCurve) || 1
  const thinned = Array.from({ length: Math.ceil(points.length / bucket) }, (_, index) =>
    meanPoint(points.slice(index * bucket, (index + 1) * bucket)),
  )
  const reach = Math.max(2, Math.round(thinned.length / 40))
  const smooth = thinned.map(({ step }, index) => ({ step, loss: lineAt(thinned, index, reach) }))
  return { points: smooth, span: Math.min((2 * reach + 1) * bucket, points.length) }
}

function meanPoint(points: LossPoint[]): LossPoint {
  const sum = points.reduce((total, { step, loss }) => ({ step: total.step + step, loss: total.loss + loss }))
  return { step: sum.step / points.length, loss: sum.loss / points.length }
}

/** The value at the point `index` of the weighted least-squares line through the points up to `reach` away. */
function lineAt(points: LossPoint[], index: number, reach: number): number {
  const first = Math.max(0, index - reach)
  const near = points.slice(first, index + reach + 1)
  const weights = near.map((_, at) => (1 - (Math.abs(first + at - index) / (reach + 1)) ** 3) ** 3)
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  const mean = (values: number[]) => values.reduce((sum, value, at) => sum + weights[at]! * value, 0) / total
  const step = mean(near.map((point) => point.step))
  const loss = mean(near.map((point) => point.loss))
  const variance = mean(near.map((point) => (point.step - step) ** 2))
  const covariance = mean(near.map((point) => (point.step - step) * (point.loss - loss)))
  return variance === 0 ? loss : loss + (covariance / variance) * (points[index]!.step - step)
}
