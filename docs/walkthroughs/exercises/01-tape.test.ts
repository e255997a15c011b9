import fc from 'fast-check'
import { expect, it } from 'vitest'
import { gradients, type Step } from './01-tape.ts'

const leaf: Step = { inputs: [], slopes: [] }

it('multiplies along a path', () => {
  expect(gradients([leaf, { inputs: [0], slopes: [2] }, { inputs: [1], slopes: [5] }])).toEqual([10, 5, 1])
})

it('adds where paths meet: t × t at 3', () => {
  expect(gradients([leaf, { inputs: [0, 0], slopes: [3, 3] }])).toEqual([6, 1])
})

it('gives 0 to what the result does not depend on', () => {
  expect(gradients([leaf, leaf, { inputs: [0], slopes: [4] }])).toEqual([4, 0, 1])
})

/** A tape of leaves and sums with whole slopes, and the values that its leaves have. */
const tapes = fc
  .array(fc.tuple(fc.array(fc.tuple(fc.nat(), fc.integer({ min: -2, max: 2 })), { maxLength: 3 })), {
    minLength: 1,
    maxLength: 8,
  })
  .map((rows) =>
    rows.map(([links], i): Step => {
      const used = i === 0 ? [] : links
      return { inputs: used.map(([place]) => place % i), slopes: used.map(([, slope]) => slope) }
    }),
  )

/** The last value when value `nudged` is 1 more than its steps make it, and leaves are 0. */
function lastValue(tape: readonly Step[], nudged: number): number {
  const values: number[] = []
  tape.forEach(({ inputs, slopes }, i) => {
    values.push(inputs.reduce((sum, input, k) => sum + slopes[k] * values[input], i === nudged ? 1 : 0))
  })
  return values[values.length - 1]
}

it('agrees with nudging, on any tape of sums', () => {
  fc.assert(
    fc.property(tapes, (tape) => {
      expect(gradients(tape).map((g) => g + 0)).toEqual(tape.map((_, i) => lastValue(tape, i) + 0))
    }),
  )
})
