/** The curves of one arm: its log, thinned so that a long run is still drawn at once. */
import { MovingAverage } from '../../../src/train/report/smooth.ts'
import type { LogEntry } from '../../../src/train/run.ts'

/** More points than a chart has pixels across. */
const longestCurve = 4000

export class History {
  steps: number[] = []
  losses: number[] = []
  /** A moving average of the losses, over about 20 steps. */
  smooth: number[] = []
  /** The entries with a held-out loss. */
  readonly measured: LogEntry[] = []
  last: LogEntry | undefined
  readonly #average = new MovingAverage(0.95)
  /** Every how many steps a point is kept. */
  #stride = 1

  constructor(log: readonly LogEntry[] = []) {
    this.add(log)
  }

  add(entries: readonly LogEntry[]): void {
    for (const entry of entries) {
      const smooth = this.#average.add(entry.loss)
      this.last = entry
      if (entry.heldOutLoss !== undefined) this.measured.push(entry)
      if (entry.step % this.#stride !== 0) continue
      this.steps.push(entry.step)
      this.losses.push(entry.loss)
      this.smooth.push(smooth)
    }
    while (this.steps.length > longestCurve) {
      this.#stride *= 2
      const kept = this.steps.map((step) => step % this.#stride === 0)
      const thin = (values: number[]): number[] => values.filter((_, i) => kept[i])
      this.steps = thin(this.steps)
      this.losses = thin(this.losses)
      this.smooth = thin(this.smooth)
    }
  }

  /** The last value of the smooth curve. */
  get loss(): number | undefined {
    return this.smooth.at(-1)
  }
}
