/**
 * Samples that once failed, by seed and path as the failure named them. The generated suites run them first; a line stays
 * for good. Shown in the comment: what was wrong.
 */
import type { CheckKind } from '../../src/check/index.ts'

export interface Regression {
  readonly op: string
  readonly kind: CheckKind
  readonly seed: number
  /** Of one sample; all of the seed unless given. */
  readonly path?: string
}

export const regressions: readonly Regression[] = [
  // The check itself: a product read past the end of an operand laid out in another shape, and took NaN for agreement.
  { op: 'batchedProduct', kind: 'broadcast', seed: 2 },
  { op: 'embeddingGradient', kind: 'broadcast', seed: 1 },
]
