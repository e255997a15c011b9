import fc from 'fast-check'
import { gatedDeltaRule, tensor } from 'sluice'
import { expect, it } from 'vitest'
import { step, type Token } from './07-step.ts'

const blank = (K: number, V: number): number[][] => Array.from({ length: K }, () => new Array<number>(V).fill(0))
const number = (min: number, max: number) => fc.integer({ min: 8 * min, max: 8 * max }).map((n) => n / 8)
const vector = (n: number) => fc.array(number(-1, 1), { minLength: n, maxLength: n })

it('writes and reads', () => {
  const { out } = step(blank(2, 3), { q: [1, 0], k: [1, 0], v: [4, 5, 6], g: 0, beta: 1 })
  expect(out).toEqual([4, 5, 6])
})

it('replaces what a key of length 1 had', () => {
  const first = step(blank(2, 1), { q: [1, 0], k: [0.6, 0.8], v: [7], g: 0, beta: 1 })
  const { out } = step(first.S, { q: [0.6, 0.8], k: [0.6, 0.8], v: [-3], g: 0, beta: 1 })
  expect(out[0]).toBeCloseTo(-3, 12)
})

it('fades: with beta 0, e^g is all that happens', () => {
  const { S } = step([[8]], { q: [1], k: [1], v: [5], g: -Math.LN2, beta: 0 })
  expect(S[0][0]).toBeCloseTo(4, 12)
})

it('leaves the memory given as it is', () => {
  const S = [[1]]
  step(S, { q: [1], k: [1], v: [5], g: -1, beta: 1 })
  expect(S).toEqual([[1]])
})

const texts = fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })).chain(([K, V]) =>
  fc.record({
    K: fc.constant(K),
    V: fc.constant(V),
    tokens: fc.array(fc.record({ q: vector(K), k: vector(K), v: vector(V), g: number(-2, 0), beta: number(0, 1) }), {
      minLength: 1,
      maxLength: 5,
    }),
  }),
)

it('is the engine’s rule, step after step', async () => {
  await fc.assert(
    fc.asyncProperty(texts, async ({ K, V, tokens }) => {
      const T = tokens.length
      const of = (name: 'q' | 'k' | 'v', width: number) =>
        tensor(
          tokens.flatMap((token) => [...token[name]]),
          { shape: [1, T, 1, width], device: 'reference' },
        )
      const number = (name: 'g' | 'beta') =>
        tensor(
          tokens.map((token) => token[name]),
          { shape: [1, T, 1], device: 'reference' },
        )
      const engine = gatedDeltaRule(of('q', K), of('k', K), of('v', V), number('g'), number('beta'), { scale: 1 })
      const expected = await engine.out.data()
      let S = blank(K, V)
      tokens.forEach((token: Token, t) => {
        const result = step(S, token)
        S = result.S
        for (let j = 0; j < V; j++) expect(result.out[j]).toBeCloseTo(expected[t * V + j], 10)
      })
    }),
  )
})
