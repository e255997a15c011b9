/** Where a training loss spikes: loss_t above the median of the 50 logged before it by more than a threshold. */
import type { StudyRun } from './data.ts'

/** Losses that the median is taken over. */
const window = 50

export function spikesOf({ step, loss }: StudyRun['curve'], threshold: number): { step: number; loss: number }[] {
  const finite = loss.flatMap((value, index) =>
    value !== null && Number.isFinite(value) ? [{ step: step[index]!, loss: value }] : [],
  )
  return finite.filter((point, index) => {
    if (index < window) return false
    const before = finite
      .slice(index - window, index)
      .map((earlier) => earlier.loss)
      .sort((a, b) => a - b)
    return point.loss - (before[window / 2 - 1]! + before[window / 2]!) / 2 > threshold
  })
}
