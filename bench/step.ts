/**
 * The training step of the engine comparisons: forward, backward, AdamW on the model of `hash-model.ts`, built from
 * `sluice/nn` and captured as any user would. Its losses must be the published ones, or the times mean nothing.
 */
import { capture, noGrad, scope } from '../src/index.ts'
import type { CpuFacts } from './cpu.ts'
import {
  type HashModelName,
  type HashModelSize,
  hashBatch,
  hashModel,
  hashModelSizes,
  trainingStep,
  vocabularySize,
} from './hash-model.ts'
import { thisMachine } from './machine.ts'
import { median } from './median.ts'
import { formatTable } from './table.ts'

/** Steps unless told otherwise: enough for K batches, and for a median after warming up. */
const defaultSteps: Readonly<Record<HashModelName, number>> = { tiny: 200, small: 60, medium: 12 }

/**
 * Engines sum in different orders, at 2^-24 = 6e-8 relative a rounding, which training carries on; and the published
 * losses have 5 decimals.
 */
const LOSS_TOLERANCE = 1e-4

/** One line of the comparison, under the names that the other engines' scripts print. */
export interface StepTime {
  readonly lib: string
  readonly cfg: HashModelName
  readonly threads: number
  readonly ms_median: number
  readonly ms_best: number
  readonly tok_s: number
  readonly gflop_step: number
  readonly gflops: number
  readonly loss0: number
  /** Loss of batch 0 after K steps; null when fewer were made. */
  readonly loss_after_K: number | null
  readonly K: number
  readonly steps: number
  /** Largest resident memory of the process so far. */
  readonly rss_mb: number
  readonly node: string
  /** Which vector instructions ran. */
  readonly simd: string
  readonly way: 'captured' | 'eager'
}

export interface StepOptions {
  readonly steps?: number
  /** Operation by operation; captured as one program unless given. */
  readonly eager?: boolean
}

/** Floating-point operations of a step: matrix products and attention, the backward pass counted twice. */
export function stepFlops({ layers: L, width: C, T, B }: HashModelSize): number {
  return 3 * (2 * B * T * (L * 13 * C * C + C * vocabularySize) + L * 4 * B * T * T * C)
}

const rounded = (x: number, decimals: number): number => Number(x.toFixed(decimals))

/** Runs the steps of one configuration on a cpu that was set up; the first tenth of them, two at least, only warms up. */
export async function measureStep(
  cfg: HashModelName,
  cpu: CpuFacts,
  { steps = defaultSteps[cfg], eager = false }: StepOptions = {},
): Promise<StepTime> {
  const size: HashModelSize = hashModelSizes[cfg]
  const K = size.batches
  const { model, optimizer } = hashModel(size)
  const batches = Array.from({ length: K }, (_, step) => hashBatch(size, step))
  const body = trainingStep(model, optimizer)
  const program = capture(body)
  const times: number[] = []
  let first = Number.NaN
  let afterK: number | null = null
  for (let step = 0; step < steps; step++) {
    const { tokens, targets } = batches[step % K]
    const start = performance.now()
    const loss = eager ? scope(() => body(tokens, targets)) : program(tokens, targets)
    times.push(performance.now() - start)
    if (step === 0) first = await loss.item()
    loss.dispose()
    if (step === K - 1) {
      const after = scope(() => noGrad(() => model.loss(batches[0].tokens, batches[0].targets)))
      afterK = await after.item()
      after.dispose()
    }
  }
  for (const { tokens, targets } of batches) {
    tokens.dispose()
    targets.dispose()
  }
  program.dispose()
  optimizer.dispose()
  model.dispose()

  const measured = times.slice(Math.min(times.length - 1, Math.max(2, Math.floor(times.length / 10))))
  const ms = median(measured)
  const machine = thisMachine()
  return {
    lib: `sluice-${machine.sluice}`,
    cfg,
    threads: cpu.threads,
    ms_median: rounded(ms, 2),
    ms_best: rounded(Math.min(...measured), 2),
    tok_s: Math.round((size.B * size.T * 1e3) / ms),
    gflop_step: rounded(stepFlops(size) / 1e9, 3),
    gflops: rounded(stepFlops(size) / ms / 1e6, 2),
    loss0: first,
    loss_after_K: afterK,
    K,
    steps,
    rss_mb: Math.round(process.resourceUsage().maxRSS / 1024),
    node: machine.node,
    simd: cpu.simd,
    way: eager ? 'eager' : 'captured',
  }
}

/** Whether the losses are the published ones, in words. A loss that was not reached is not held against it. */
export function lossAgreement({
  cfg,
  loss0,
  loss_after_K,
  K,
}: Pick<StepTime, 'cfg' | 'loss0' | 'loss_after_K' | 'K'>): {
  agrees: boolean
  message: string
} {
  const [first, afterK] = hashModelSizes[cfg].losses
  const near = (loss: number, published: number) => Math.abs(loss - published) <= LOSS_TOLERANCE
  const agrees = near(loss0, first) && (loss_after_K === null || near(loss_after_K, afterK))
  const later =
    loss_after_K === null ? `step ${K} was not reached` : `${loss_after_K.toFixed(5)} after ${K} steps (${afterK})`
  return {
    agrees,
    message: `${cfg}: losses ${agrees ? 'agree' : 'DO NOT AGREE'} with the published ones to ${LOSS_TOLERANCE}: ${loss0.toFixed(5)} at first (${first}), ${later}`,
  }
}

/** The table of these times. */
export function showSteps(times: readonly StepTime[]): string {
  return formatTable(
    ['model', 'way', 'simd', 'threads', 'median ms', 'best ms', 'tokens/s', 'GFLOP', 'GFLOP/s', 'RSS MB', 'steps'],
    times.map((t) => [
      t.cfg,
      t.way,
      t.simd,
      t.threads,
      t.ms_median,
      t.ms_best,
      t.tok_s,
      t.gflop_step,
      t.gflops,
      t.rss_mb,
      t.steps,
    ]),
  )
}
