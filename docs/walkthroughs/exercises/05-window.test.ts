import fc from 'fast-check'
import { attention, grad, ones } from 'sluice'
import { expect, it } from 'vitest'
import { windowMask } from './05-window.ts'

const sizes = fc.tuple(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 8 }))

it('lets every position see itself and those just before, and nothing else', async () => {
  await fc.assert(
    fc.asyncProperty(sizes, async ([T, window]) => {
      const x = ones([1, T, 1, 2])
      const mask = windowMask(T, window)
      for (let t = 0; t < T; t++) {
        const result = (values: typeof x) =>
          attention(x, x, values, { mask })
            .slice([
              [0, 1],
              [t, t + 1],
              [0, 1],
              [0, 1],
            ])
            .sum()
        const reached = await grad(result)(x)
          .abs()
          .sum({ axis: [0, 2, 3] })
          .data()
        const seen = Array.from(reached, (sum) => sum > 0)
        expect(seen).toEqual(Array.from({ length: T }, (_, s) => s <= t && s > t - window))
      }
    }),
    { numRuns: 30 },
  )
})

it('is the causal mask when the window is as long as the text', async () => {
  expect(await windowMask(3, 3).array()).toEqual([
    [0, -Infinity, -Infinity],
    [0, 0, -Infinity],
    [0, 0, 0],
  ])
})
