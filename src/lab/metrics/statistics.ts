/**
 * What may be said of a few runs: means with their 95 % intervals, differences paired by seed, power laws, and the largest
 * learning rate that trains.
 *
 * All intervals are Student's, for values that scatter normally about their mean.
 */
import { SluiceError } from '../../errors.ts'
import { studentQuantile } from './student.ts'

/** A mean and the interval that holds the true one with 95 % confidence; the ends are NaN where one value says nothing of it. */
export interface MeanInterval {
  /** Arithmetic mean of the values. */
  readonly mean: number
  /** Lower end of the interval. */
  readonly low: number
  /** Upper end of the interval. */
  readonly high: number
}

const sumOf = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0)

const meanOf = (values: readonly number[]): number => sumOf(values) / values.length

/**
 * The mean m of n values and m ± t s / sqrt(n), s their standard deviation and t Student's quantile for n - 1.
 *
 * One value has no interval (NaN); no values have no mean either.
 *
 * @example
 * meanInterval([1, 2, 3]) // mean 2, from -0.484 to 4.484
 */
export function meanInterval(values: readonly number[]): MeanInterval {
  const n = values.length
  const mean = meanOf(values)
  if (n < 2) return { mean, low: Number.NaN, high: Number.NaN }
  const deviation = Math.sqrt(sumOf(values.map((value) => (value - mean) ** 2)) / (n - 1))
  const half = (studentQuantile(n - 1) * deviation) / Math.sqrt(n)
  return { mean, low: mean - half, high: mean + half }
}

/** The mean difference of two arms, seed by seed, with its interval. */
export interface PairedDifference extends MeanInterval {
  /** Seeds that both have; with none, all else is NaN. */
  readonly pairs: number
}

/**
 * The mean of `of` minus `from` over the seeds that both have, with its interval.
 *
 * Runs of one seed see the same data in the same order, so much of what scatters is common to both and leaves with the difference.
 *
 * @param of values by seed; so is `from`
 *
 * @example
 * // gated minus baseline: below 0 where the gate helps
 * pairedDifference(new Map([[1, 2.1], [2, 2.3]]), new Map([[1, 2.2], [2, 2.5]])).mean // -0.15
 */
export function pairedDifference(of: ReadonlyMap<number, number>, from: ReadonlyMap<number, number>): PairedDifference {
  const differences = [...of].flatMap(([seed, value]) => {
    const other = from.get(seed)
    return other === undefined ? [] : [value - other]
  })
  return { ...meanInterval(differences), pairs: differences.length }
}

/** A fitted law, loss = a x^-β. */
export interface PowerLaw {
  /** β: the loss falls as x^-β. */
  readonly exponent: number
  /** The ends of β's 95 % interval; NaN for two points, which any line meets. */
  readonly low: number
  /** The upper end. */
  readonly high: number
  /** The fitted loss at x. */
  at(x: number): number
}

/**
 * L(x) = e^α x^-β by least squares on ln L = α - β ln x.
 *
 * There is no irreducible loss in it: over the few octaves of a small study it could not be told from a smaller β.
 *
 * @param points x (parameters, tokens) and loss, both above 0
 * @throws SluiceError for fewer than two different x, and for values that have no logarithm
 *
 * @example
 * const fit = fitPowerLaw([{ x: 1, loss: 4 }, { x: 4, loss: 2 }])
 * fit.exponent // 0.5
 * fit.at(16) // 1
 */
export function fitPowerLaw(points: readonly { readonly x: number; readonly loss: number }[]): PowerLaw {
  for (const { x, loss } of points) {
    if (!(x > 0 && loss > 0 && Number.isFinite(x) && Number.isFinite(loss))) {
      throw new SluiceError('fitPowerLaw', `x and loss must be above 0 and finite, got x ${x} and loss ${loss}`)
    }
  }
  if (new Set(points.map(({ x }) => x)).size < 2) {
    throw new SluiceError('fitPowerLaw', `a line needs two different x, got ${points.map(({ x }) => x).join(', ')}`)
  }
  const n = points.length
  const logX = points.map(({ x }) => Math.log(x))
  const logLoss = points.map(({ loss }) => Math.log(loss))
  const [meanX, meanLoss] = [meanOf(logX), meanOf(logLoss)]
  const spread = sumOf(logX.map((x) => (x - meanX) ** 2))
  const slope = sumOf(logX.map((x, i) => (x - meanX) * (logLoss[i] - meanLoss))) / spread
  const rest = sumOf(logX.map((x, i) => (logLoss[i] - meanLoss - slope * (x - meanX)) ** 2))
  const half = n > 2 ? studentQuantile(n - 2) * Math.sqrt(rest / (n - 2) / spread) : Number.NaN
  return {
    exponent: -slope,
    low: -slope - half,
    high: -slope + half,
    at: (x) => Math.exp(meanLoss + slope * (Math.log(x) - meanX)),
  }
}

/** A run of a sweep; its loss is null when it diverged. */
export interface RateRun {
  /** The rate it was trained at. */
  readonly learningRate: number
  /** Its last loss, in nats; null when it diverged. */
  readonly loss: number | null
}

/** What a sweep of learning rates shows. */
export interface StableRate {
  /** null when no rate trains. */
  readonly rate: number | null
  /** The rate with the lowest mean loss among those below the first at which a run diverged, and that loss; null when there is none. */
  readonly best: { readonly learningRate: number; readonly loss: number } | null
}

/**
 * The largest learning rate of a sweep that trains.
 *
 * A rate trains when each of its runs ends within `within` of the best rate's mean loss. From the best rate up, the last one before
 * the first that does not train is the answer: rates below the best are not asked for that, since their loss is high for want of
 * steps. A rate above one that diverged has trained by luck, and does not count.
 *
 * The paper's baseline at 8e-3 counts as failed: ln(9.195 / 7.421) = 0.214 above its loss at 4e-3 (table 2).
 *
 * @param runs one or more a rate, such as one a seed
 * @param within in nats; 0.2 unless given
 * @throws SluiceError for no runs
 *
 * @example
 * largestStableRate([{ learningRate: 1e-3, loss: 2 }, { learningRate: 2e-3, loss: 1.9 }, { learningRate: 4e-3, loss: null }]).rate // 2e-3
 */
export function largestStableRate(runs: readonly RateRun[], within = 0.2): StableRate {
  if (runs.length === 0) throw new SluiceError('largestStableRate', 'there are no runs')
  const byRate = new Map<number, (number | null)[]>()
  for (const { learningRate, loss } of runs) {
    byRate.set(learningRate, [...(byRate.get(learningRate) ?? []), loss])
  }
  const rates = [...byRate.keys()].sort((a, b) => a - b)
  const isLoss = (loss: number | null): loss is number => loss !== null && Number.isFinite(loss)
  const first = rates.findIndex((rate) => !byRate.get(rate)!.every(isLoss))
  const finished = rates.slice(0, first < 0 ? rates.length : first).map((learningRate) => {
    const losses = byRate.get(learningRate)!.filter(isLoss)
    return { learningRate, loss: meanOf(losses), worst: Math.max(...losses) }
  })
  if (finished.length === 0) return { rate: null, best: null }
  const { learningRate, loss } = finished.reduce((a, b) => (b.loss < a.loss ? b : a))
  let rate: number | null = null
  for (const candidate of finished.filter((other) => other.learningRate >= learningRate)) {
    if (candidate.worst > loss + within) break
    rate = candidate.learningRate
  }
  return { rate, best: { learningRate, loss } }
}
