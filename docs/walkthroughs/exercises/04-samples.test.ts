import { defineOp, minimum, type Tensor } from 'sluice'
import { searchKind } from 'sluice/check'
import { expect, it } from 'vitest'
import { samples } from './04-samples.ts'

const define = (name: string, vjp: (dy: Tensor, y: Tensor, x: Tensor) => readonly Tensor[]) =>
  defineOp({
    name,
    doc: 'min(x, 3), elementwise.',
    shape: (x: Tensor) => x.shape,
    forward: (_shape, x) => minimum(x, 3),
    vjp,
    samples,
  })

const right = define('exerciseCut', (dy, _y, x) => [dy.mul(x.lessEqual(3))])
const wrong = define('exerciseCutWrong', (dy) => [dy])

it('shows that the right gradient is right', async () => {
  const { failure } = await searchKind(right.record, 'gradient', { seed: 1 })
  expect(failure?.message).toBeUndefined()
})

it('shows that the wrong gradient is wrong, whatever the seed', async () => {
  for (const seed of [1, 2, 3]) {
    const { failure } = await searchKind(wrong.record, 'gradient', { seed })
    expect(failure, 'your samples did not find the fault').not.toBeNull()
  }
})
