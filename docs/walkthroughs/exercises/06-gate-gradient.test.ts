import fc from 'fast-check'
import { gatedAttention, grad, type Tensor, tensor } from 'sluice'
import { expect, it } from 'vitest'
import { gateGradients } from './06-gate-gradient.ts'

const number = fc.integer({ min: -32, max: 32 }).map((n) => n / 8)
const entries = fc.array(fc.tuple(number, number, number), { minLength: 1, maxLength: 6 })
const column = (rows: number[][], i: number): number[] => rows.map((row) => row[i])
const own = (values: readonly number[]): Tensor => tensor([...values], { device: 'reference' })

it('is the gradient that the engine finds', async () => {
  await fc.assert(
    fc.asyncProperty(entries, async (rows) => {
      const [dOut, y, logits] = [column(rows, 0), column(rows, 1), column(rows, 2)]
      const loss = (a: Tensor, b: Tensor) => a.mul(b.sigmoid()).mul(own(dOut)).sum()
      const [byY, byLogits] = grad(loss)(own(y), own(logits))
      const { dy, dLogits } = gateGradients(dOut, y, logits)
      for (const [mine, its] of [
        [dy, byY],
        [dLogits, byLogits],
      ] as const) {
        const expected = await its.data()
        expect(mine).toHaveLength(expected.length)
        for (const [i, value] of mine.entries()) expect(value).toBeCloseTo(expected[i], 10)
      }
    }),
  )
})

it('passes nothing back through a gate that is shut', () => {
  const { dy, dLogits } = gateGradients([3], [2], [-50])
  expect(Math.abs(dy[0]) + Math.abs(dLogits[0])).toBeLessThan(1e-12)
})

it('reaches the logits of gated attention: one token, so that attention is 1 and y is v', async () => {
  const shape = [1, 1, 1, 2]
  const [one, v, logits] = [
    [1, 1],
    [2, -3],
    [0.5, -1],
  ]
  const on = (values: number[]) => tensor(values, { shape, device: 'reference' })
  const found = grad((gate: Tensor) => gatedAttention(on(one), on(one), on(v), gate).sum())(on(logits))
  const { dLogits } = gateGradients([1, 1], v, logits)
  const expected = await found.data()
  for (const [i, value] of dLogits.entries()) expect(value).toBeCloseTo(expected[i], 12)
})
