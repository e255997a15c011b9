/**
 * Fused kernels over rows: softmax, cross-entropy and normalisation, each pass over a row in one launch.
 *
 * Rows are the last axis: x [N, n], logits [N, V] with targets [N], x [N, C]. What each means is the composition in
 * src/ops/softmax.ts and src/ops/norm.ts.
 */
import { defineFused } from './kernel.ts'

const row = { rows: 'integer', n: 'integer' } as const

/** y = softmax(scale x); with T > 0 row z is query z mod T and sees its first z mod T + 1 + n - T keys. */
export const softmaxForward = defineFused(
  'softmaxForward',
  { x: 'array', ...row, T: 'integer', scale: 'float' },
  { y: 'new' },
)

/** dx = scale y (dy - sum(dy y)). */
export const softmaxBackward = defineFused(
  'softmaxBackward',
  { dy: 'array', y: 'array', ...row, scale: 'float' },
  { dx: 'new' },
)

/** The mean loss [] over rows whose target is not `ignore`, their number [], and log sum e^x of every row [N]. */
export const crossEntropyForward = defineFused(
  'crossEntropyForward',
  { logits: 'array', targets: 'array', ...row, ignore: 'integer' },
  { loss: 'new', counted: 'new', logSum: 'new' },
)

/** dlogits = (e^(x - logSum) - [class is the target]) dy / counted; exactly 0 in rows that are ignored. */
export const crossEntropyBackward = defineFused(
  'crossEntropyBackward',
  { logits: 'array', targets: 'array', logSum: 'array', dy: 'array', counted: 'array', ...row, ignore: 'integer' },
  { dlogits: 'new' },
)

/** y = x r (w + centre), r = 1 / sqrt(mean(x^2) + eps). */
export const rmsNormForward = defineFused(
  'rmsNormForward',
  { x: 'array', weight: 'array', ...row, eps: 'float', centre: 'float' },
  { y: 'new' },
)

/** dx = r (g - x r^2 mean(g x)), g = dy (w + centre). */
export const rmsNormBackward = defineFused(
  'rmsNormBackward',
  { dy: 'array', x: 'array', weight: 'array', ...row, eps: 'float', centre: 'float' },
  { dx: 'new' },
)

/** dw = sum over rows of dy x r: [C]. */
export const rmsNormWeightBackward = defineFused(
  'rmsNormWeightBackward',
  { dy: 'array', x: 'array', ...row, eps: 'float' },
  { dweight: 'new' },
)

/** y = x r, r = 1 / sqrt(sum(x^2) + eps). */
export const l2NormForward = defineFused('l2NormForward', { x: 'array', ...row, eps: 'float' }, { y: 'new' })

/** dx = r (dy - x r^2 sum(dy x)). */
export const l2NormBackward = defineFused(
  'l2NormBackward',
  { dy: 'array', x: 'array', ...row, eps: 'float' },
  { dx: 'new' },
)
