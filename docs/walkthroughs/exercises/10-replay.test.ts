import fc from 'fast-check'
import { tensor } from 'sluice'
import { expect, it } from 'vitest'
import { makeAverage } from './10-replay.ts'

const device = 'reference'
const scalar = (value: number) => tensor([value], { device })

it('mixes at the rate of the call', async () => {
  const { mix } = makeAverage()
  expect(await mix(scalar(0), scalar(8), 0.5).item()).toBe(4)
  expect(await mix(scalar(0), scalar(8), 0.25).item()).toBe(2)
})

it('follows any run of rates', async () => {
  const rate = fc.integer({ min: 0, max: 8 }).map((n) => n / 8)
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(rate, fc.integer({ min: -9, max: 9 })), { minLength: 1, maxLength: 6 }),
      async (calls) => {
        const { mix } = makeAverage()
        let expected = 0
        let average = scalar(0)
        for (const [r, x] of calls) {
          expected += r * (x - expected)
          average = mix(average, scalar(x), r)
          expect(await average.item()).toBeCloseTo(expected, 12)
        }
      },
    ),
  )
})

it('stays one program', () => {
  const { mix, program } = makeAverage()
  for (const r of [0.1, 0.2, 0.3]) mix(scalar(0), scalar(1), r)
  expect(program.explain().match(/^program on/gm)).toHaveLength(1)
})
