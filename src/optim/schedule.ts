/**
 * Learning rates by step, as functions of the step number s = 0, 1, 2, ...
 *
 * All warm up in the same way: rate peak (s + 1) / (warmup + 1) for s < warmup, so that the first step already moves and
 * step `warmup` has the peak.
 */
import { SluiceError } from '../errors.ts'

/** The rate of step s. */
export type Schedule = (step: number) => number

/** The start of a schedule. */
export interface WarmupOptions {
  /** The largest rate. */
  readonly peak: number
  /** Steps below the peak at the start; 0 unless given. */
  readonly warmup?: number
}

/** A schedule that falls from its peak to a floor. */
export interface DecayOptions extends WarmupOptions {
  /** The step at which the floor is reached; it stays there. */
  readonly total: number
  /** 0 unless given. */
  readonly floor?: number
}

function needCount(operation: string, name: string, value: number): void {
  if (!Number.isInteger(value) || value < 0) {
    throw new SluiceError(operation, `${name} must be an integer from 0 up, got ${value}`)
  }
}

function needRate(operation: string, name: string, value: number): void {
  if (!(value >= 0 && value < Infinity)) {
    throw new SluiceError(operation, `${name} must be a finite number from 0 up, got ${value}`)
  }
}

/** Warm-up, then floor + (peak - floor) shape(u), where u goes from 0 at step `warmup` to 1 at step `total`. */
function decaying(operation: string, options: DecayOptions, shape: (u: number) => number): Schedule {
  const { peak, warmup = 0, total, floor = 0 } = options
  needRate(operation, 'peak', peak)
  needRate(operation, 'floor', floor)
  needCount(operation, 'warmup', warmup)
  needCount(operation, 'total', total)
  if (warmup > total) {
    throw new SluiceError(operation, `warmup ${warmup} is longer than the total of ${total} steps`)
  }
  return (step) => {
    if (step < warmup) return (peak * (step + 1)) / (warmup + 1)
    if (step >= total) return floor
    return floor + (peak - floor) * shape((step - warmup) / (total - warmup))
  }
}

/**
 * Half a cosine from the peak to the floor. Loshchilov and Hutter 2017, equation 5.
 *
 * @example
 * const rate = cosineSchedule({ peak: 1e-3, warmup: 100, total: 2000, floor: 1e-4 })
 * rate(100) // 1e-3
 * rate(2000) // 1e-4
 */
export function cosineSchedule(options: DecayOptions): Schedule {
  return decaying('cosineSchedule', options, (u) => 0.5 * (1 + Math.cos(Math.PI * u)))
}

/** A straight line from the peak to the floor. */
export function linearSchedule(options: DecayOptions): Schedule {
  return decaying('linearSchedule', options, (u) => 1 - u)
}

/** The peak at every step after the warm-up. */
export function constantSchedule({ peak, warmup = 0 }: WarmupOptions): Schedule {
  needRate('constantSchedule', 'peak', peak)
  needCount('constantSchedule', 'warmup', warmup)
  return (step) => (step < warmup ? (peak * (step + 1)) / (warmup + 1) : peak)
}
