import fc from 'fast-check'
import type { Generator } from 'sluice'
import { sampleToken } from 'sluice/train'
import { expect, it } from 'vitest'
import { sample } from './08-sample.ts'

const logits = fc.array(
  fc.integer({ min: -20, max: 20 }).map((n) => n / 8),
  { minLength: 1, maxLength: 8 },
)

it('takes the likeliest at temperature 0', () => {
  expect(sample([1, 3, 2], 0.99, { temperature: 0, topK: 3 })).toBe(1)
})

it('gives each token the part of the way that is its probability', () => {
  const found = [0, 0]
  for (let i = 0; i < 1000; i++) found[sample([Math.log(3), 0], (i + 0.5) / 1000, { temperature: 1, topK: 2 })]++
  expect(found).toEqual([750, 250])
})

it('makes the likely likelier below temperature 1: log 3 at 1/2 is log 9', () => {
  const chosen = Array.from({ length: 1000 }, (_, i) =>
    sample([Math.log(3), 0], (i + 0.5) / 1000, { temperature: 0.5, topK: 2 }),
  )
  expect(chosen.filter((token) => token === 0)).toHaveLength(900)
})

it('leaves out all but the first k', () => {
  const chosen = Array.from({ length: 100 }, (_, i) =>
    sample([0, 2, 1, 2], (i + 0.5) / 100, { temperature: 1, topK: 2 }),
  )
  expect([...new Set(chosen)]).toEqual([1, 3])
})

it('chooses as the engine does', () => {
  fc.assert(
    fc.property(
      logits,
      fc.nat(1022),
      fc.constantFrom(0.5, 1, 2),
      fc.integer({ min: 1, max: 8 }),
      (given, n, temperature, topK) => {
        const u = (n + 0.5) / 1024
        const generator = { uniform: () => Float32Array.of(u) } as unknown as Generator
        const engine = sampleToken(given, { temperature, topK, topP: 1 }, generator)
        expect(sample(given, u, { temperature, topK })).toBe(engine)
      },
    ),
  )
})
