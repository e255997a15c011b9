/** A step that is left out, on the device, because a number is not finite. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { scope, type Tensor, tensor } from '../../src/index.ts'
import { AdamW, SGD } from '../../src/optim/index.ts'

const values = (tensors: readonly Tensor[]) => Promise.all(tensors.map(async (t) => [...(await t.data())]))

/** One parameter after two steps, the second under a guard, with its moments. */
async function stepped(size: number, guard: number | undefined): Promise<number[][]> {
  const parameter = tensor(
    Array.from({ length: size }, (_, i) => Math.sin(i + 1)),
    { requiresGrad: true },
  )
  const optimizer = new AdamW([parameter], { lr: 0.1 })
  const gradients = () => scope(() => parameter.mul(parameter).sum().backward())
  gradients()
  optimizer.step()
  optimizer.zeroGrad()
  gradients()
  const guarding = guard === undefined ? undefined : tensor(guard)
  optimizer.step(guarding)
  const state = await optimizer.state()
  const moments = [...state].filter(([name]) => name !== 'steps').map(([, { data }]) => [...data])
  const result = [...(await values([parameter])), ...moments]
  optimizer.zeroGrad()
  optimizer.dispose()
  guarding?.dispose()
  parameter.dispose()
  return result
}

describe('AdamW with a guard', () => {
  test('moves nothing where the guard is not finite, and as ever where it is', () =>
    fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 40 }),
        fc.float({ noDefaultInfinity: true, noNaN: true }),
        async (size, guard) => {
          const moved = await stepped(size, undefined)
          expect(await stepped(size, guard)).toEqual(moved)
          const [still] = await Promise.all([stepped(size, Number.NaN)])
          for (const not of [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])
            expect(await stepped(size, not)).toEqual(still)
          // What one step gives, without the second.
          expect(still).not.toEqual(moved)
          expect(still.flat().every(Number.isFinite)).toBe(true)
        },
      ),
      { numRuns: 200 },
    ))

  test('is refused by optimizers that cannot do it', () => {
    const parameter = tensor([1], { requiresGrad: true })
    const optimizer = new SGD([parameter], { lr: 0.1 })
    expect(optimizer.guarded).toBe(false)
    expect(() => optimizer.step(parameter)).toThrow('SGD: it cannot leave out a step by a guard')
    parameter.dispose()
  })
})
