import fc from 'fast-check'
import { defineKernel, device, launch } from 'sluice'
import { arb } from 'sluice/check'
import { expect, it } from 'vitest'
import { shift } from './03-shift.ts'

const kernel = defineKernel(shift, { x: 'array', T: 'integer', k: 'integer' })

it('delays one row, called by hand', () => {
  const row = [5, 6, 7, 8]
  expect(row.map((_, t) => shift.call({ thread: { x: t, y: 0, z: 0 } }, row, 4, 2))).toEqual([0, 0, 5, 6])
})

it.each(['reference', 'gpujs'])('delays every row of any signal on %s', async (name) => {
  await device(name)
  const signals = fc
    .tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 5 }))
    .chain((shape) => fc.tuple(arb.tensor(shape), fc.nat({ max: 6 })))
  await fc.assert(
    fc.asyncProperty(signals, async ([x, k]) => {
      const [rows, T] = x.shape
      const found = await launch(kernel, x.shape, [await x.to(name), T, k], [T, rows, 1]).array()
      const before = new Array<number>(k).fill(0)
      const wanted = ((await x.array()) as number[][]).map((row) => [...before, ...row].slice(0, T))
      expect(found).toEqual(wanted)
    }),
    { numRuns: 30 },
  )
})
