import fc from 'fast-check'
import { type Tensor, tensor } from 'sluice'
import { attentionSink } from 'sluice/lab'
import { Transformer } from 'sluice/nn'
import { expect, it } from 'vitest'
import { firstTokenSink } from './06-first-token.ts'

/** [H][T][T] of what `weight` says for query i and key j <= i. */
const attentionOf = (H: number, T: number, weight: (i: number, j: number) => number): number[][][] =>
  Array.from({ length: H }, () =>
    Array.from({ length: T }, (_, i) => Array.from({ length: T }, (_, j) => (j > i ? 0 : weight(i, j)))),
  )

const heads = fc.integer({ min: 1, max: 4 })
const length = fc.integer({ min: 2, max: 20 })

it('gives 0 for uniform attention', () => {
  fc.assert(
    fc.property(heads, length, (H, T) => {
      const { mean, uniform, corrected } = firstTokenSink(attentionOf(H, T, (i) => 1 / (i + 1)))
      expect(mean).toBeCloseTo(uniform, 12)
      expect(corrected).toBeCloseTo(0, 12)
    }),
  )
})

it('gives 1 when all of it is on the first token', () => {
  fc.assert(
    fc.property(heads, length, (H, T) => {
      const { mean, corrected } = firstTokenSink(attentionOf(H, T, (_, j) => (j === 0 ? 1 : 0)))
      expect([mean, corrected]).toEqual([expect.closeTo(1, 12), expect.closeTo(1, 12)])
    }),
  )
})

it('gives the uniform share of 64 tokens', () => {
  expect(firstTokenSink(attentionOf(1, 64, (i) => 1 / (i + 1))).uniform).toBeCloseTo(0.0741, 4)
})

it('is what the lab measures', async () => {
  const model = new Transformer(
    { vocabularySize: 8, width: 16, layers: 1, heads: 2, initStd: 1 },
    { device: 'reference' },
  )
  const T = 6
  const inputs = Int32Array.of(1, 2, 3, 4, 5, 6)
  const lab = await attentionSink(model, { inputs, targets: inputs, B: 1, T })
  let weights: number[][][] = []
  model.forward(tensor(inputs, { shape: [1, T], device: 'reference' }), {
    observe: (seen) => {
      if (seen.type !== 'attention') return
      weights = rowsOf(seen.weights)
    },
  })
  const own = firstTokenSink(weights)
  // The lab reads float32.
  for (const name of ['mean', 'uniform', 'corrected'] as const) expect(own[name]).toBeCloseTo(lab[name], 6)
})

/** [1, H, T, T] as lists. */
function rowsOf(weights: Tensor): number[][][] {
  const [, H, T] = weights.shape
  const data = weights.dataNow()
  return Array.from({ length: H }, (_, h) =>
    Array.from({ length: T }, (_, i) => Array.from(data.slice((h * T + i) * T, (h * T + i + 1) * T))),
  )
}
