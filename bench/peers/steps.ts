/** Training steps that were measured, and which of them are compared with which. */
import type { HashModelName } from '../hash-model.ts'
import { lossAgreement, type StepTime } from '../step.ts'
import { medianOf, type Summary } from './records.ts'
import type { Family } from './settings.ts'

/** Under the names that all scripts print. */
export type StepLine = Pick<
  StepTime,
  'lib' | 'threads' | 'ms_median' | 'ms_best' | 'tok_s' | 'gflop_step' | 'gflops' | 'loss0' | 'loss_after_K' | 'K'
> & { readonly rss_mb: number }

/** With the published losses of that model. */
export const agreement = (config: string, { loss0, loss_after_K = null, K }: StepLine) =>
  lossAgreement({ cfg: config as HashModelName, loss0, loss_after_K, K })

export type StepSummary = Summary<StepLine>

export const milliseconds = (step: StepSummary): number => medianOf(step, ({ ms_median }) => ms_median)

/** The limit's program in the same variant, on as many threads. */
export const limitOf = (ours: StepSummary, steps: readonly StepSummary[]): StepSummary | undefined =>
  steps.find(
    ({ family, what, simd, threads }) =>
      family === 'limit' && what === ours.what && simd === ours.simd && threads === ours.threads,
  )

/** The fastest of the other engines in JavaScript, on as many threads or fewer. */
export const bestOfJavaScript = (
  ours: StepSummary,
  steps: readonly StepSummary[],
  families: readonly Family[] = ['jax-js', 'TF.js'],
): StepSummary | undefined =>
  steps
    .filter(({ family, what, threads }) => families.includes(family) && what === ours.what && threads <= ours.threads)
    .toSorted((a, b) => milliseconds(a) - milliseconds(b))[0]
