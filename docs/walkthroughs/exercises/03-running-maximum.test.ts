import { defineKernel, defineOp, launch, type Tensor } from 'sluice'
import { searchKind } from 'sluice/check'
import { expect, it } from 'vitest'
import { runningMaximum, runningMaximumGradient } from './03-running-maximum.ts'

const gradientOf = (x: number[], dy: number[]) =>
  x.map((_, s) => runningMaximumGradient.call({ thread: { x: s, y: 0, z: 0 } }, x, dy, x.length))

it('gives a gradient to the number that is the largest', () => {
  expect(gradientOf([1, 3, 2, 5], [1, 10, 100, 1000])).toEqual([1, 110, 0, 1000])
})

it('gives it to the first of equal numbers', () => {
  expect(gradientOf([2, 2, 2], [1, 10, 100])).toEqual([111, 0, 0])
})

const forward = defineKernel(runningMaximum, { x: 'array' })
const backward = defineKernel(runningMaximumGradient, { x: 'array', dy: 'array', T: 'integer' })
const operation = defineOp({
  name: 'exerciseRunningMaximum',
  doc: 'The largest number so far.',
  shape: (x: Tensor) => x.shape,
  forward: (shape, x) => launch(forward, shape, [x]),
  vjp: (dy, _y, x) => [launch(backward, x.shape, [x, dy, x.size])],
  samples: (draw) => [draw.tensor(draw.shape({ minRank: 1, maxRank: 1, maxSize: 6 }), { distinct: true })],
})

it('agrees with nudging', async () => {
  const { failure } = await searchKind(operation.record, 'gradient', { seed: 1 })
  expect(failure?.message).toBeUndefined()
})
