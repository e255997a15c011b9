import fc from 'fast-check'
import { expect, it } from 'vitest'
import { corrections } from './07-substitution.ts'

const number = fc.integer({ min: -8, max: 8 }).map((n) => n / 8)
const matrix = (rows: number, columns: number) =>
  fc.array(fc.array(number, { minLength: columns, maxLength: columns }), { minLength: rows, maxLength: rows })
const systems = fc
  .tuple(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 3 }))
  .chain(([C, V]) => fc.record({ A: matrix(C, C), R: matrix(C, V) }))

it('solves two rows', () => {
  expect(
    corrections(
      [
        [0, 0],
        [0.5, 0],
      ],
      [[4], [3]],
    ),
  ).toEqual([[4], [1]])
})

it('leaves what is given as it is, and does not look above the diagonal', () => {
  const A = [
    [9, 9],
    [1, 9],
  ]
  const R = [[1], [1]]
  expect(corrections(A, R)).toEqual([[1], [0]])
  expect([A, R]).toEqual([
    [
      [9, 9],
      [1, 9],
    ],
    [[1], [1]],
  ])
})

it('solves every row of every system', () => {
  fc.assert(
    fc.property(systems, ({ A, R }) => {
      const U = corrections(A, R)
      R.forEach((row, i) => {
        row.forEach((r, column) => {
          const earlier = U.slice(0, i).reduce((sum, u, j) => sum + A[i][j] * u[column], 0)
          // Sums grow to 2^7 here, and doubles round at 1e-16 of them.
          expect(U[i][column] + earlier).toBeCloseTo(r, 10)
        })
      })
    }),
  )
})

it('writes a repeated value once: equal keys, beta 1', () => {
  const same = Array.from({ length: 5 }, () => new Array<number>(5).fill(1))
  expect(corrections(same, [[2], [2], [2], [3], [3]])).toEqual([[2], [0], [0], [1], [0]])
})
