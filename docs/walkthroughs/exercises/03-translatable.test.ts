import fc from 'fast-check'
import { defineKernel, device, launch, tensor } from 'sluice'
import { expect, it } from 'vitest'
import { smooth } from './03-translatable.ts'

const kernel = defineKernel(smooth, { x: 'array', n: 'integer' })

const signals = fc.array(
  fc.integer({ min: -8, max: 8 }).map((n) => n / 2),
  { minLength: 1, maxLength: 6 },
)

/** Halves and quarters of small numbers: exact in float32. */
const wanted = (x: number[]) =>
  x.map((value, i) => 0.25 * (x[i - 1] ?? value) + 0.5 * value + 0.25 * (x[i + 1] ?? value))

it('smooths, called by hand', () => {
  fc.assert(
    fc.property(signals, (x) => {
      const found = x.map((_, i) => smooth.call({ thread: { x: i, y: 0, z: 0 } }, x, x.length))
      expect(found.map((y) => y + 0)).toEqual(wanted(x).map((y) => y + 0))
    }),
  )
})

it('smooths, translated', async () => {
  await device('gpujs')
  await fc.assert(
    fc.asyncProperty(signals, async (x) => {
      const found = await launch(kernel, [x.length], [tensor(x, { device: 'gpujs' }), x.length])
        .add(0)
        .array()
      expect(found).toEqual(wanted(x).map((y) => y + 0))
    }),
    { numRuns: 30 },
  )
})
