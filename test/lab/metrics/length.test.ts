import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { findDevice } from '../../../src/device/registry.ts'
import { tensor } from '../../../src/index.ts'
import { lengthCurve, lengthLoss, rescaledBase } from '../../../src/lab/metrics.ts'
import { evaluate } from '../../../src/train/evaluate.ts'
import { heldOutBatches } from '../../../src/train/text.ts'
import { modelOf, V, withValuesOf } from './readings.ts'

const tokens = Int32Array.from({ length: 150 }, (_, i) => (i * i * 3 + (i >> 3)) % V)

describe('rescaledBase', () => {
  it('stretches the slowest pair by the factor', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 1_000_000 }),
        fc.integer({ min: 2, max: 64 }),
        fc.double({ min: 1, max: 64, noNaN: true }),
        (base, half, factor) => {
          const dims = 2 * half
          const slowest = (of: number) => of ** (-(dims - 2) / dims)
          expect(slowest(base) / slowest(rescaledBase(base, dims, factor)) / factor).toBeCloseTo(1, 10)
        },
      ),
      { numRuns: 200 },
    )
  })

  it('is 85,550 for a base of 10,000, 64 dimensions and a factor of 8', () => {
    // 8^(64 / 62) = 8.5550
    expect(rescaledBase(10_000, 64, 8) / 85_550).toBeCloseTo(1, 4)
  })

  it('leaves shorter texts alone, and cannot stretch a single pair', () => {
    expect(rescaledBase(10_000, 64, 0.5)).toBe(10_000)
    expect(() => rescaledBase(10_000, 2, 2)).toThrow(
      'rescaledBase: rotary positions over 2 dimensions cannot be stretched',
    )
  })
})

describe('lengthLoss', () => {
  it('is the loss of windows of each length', async () => {
    const model = modelOf()
    const lengths = [4, 8, 16, 48]
    const curve = await lengthLoss(model, tokens, { lengths, windows: 100, batchTokens: 30 })
    // The longest windows begin at 0, 48 and 96; all shorter ones that fit into them are read.
    const used = tokens.subarray(0, 3 * 48 + 1)
    const expected: number[] = []
    for (const length of lengths) expected.push((await evaluate(model, heldOutBatches(used, 1, length))).loss)
    curve.forEach(({ length, loss, drop }, i) => {
      expect(length).toBe(lengths[i])
      // Float64, summed in another order.
      expect(Math.abs(loss - expected[i])).toBeLessThan(1e-11)
      expect(Math.abs(drop - (expected[i] - expected[1]))).toBeLessThan(1e-11)
    })
    expect(curve[1].drop).toBe(0)
    model.dispose()
  })

  it('predicts the same tokens at every length: a model that looks at one token only has one loss', async () => {
    const model = modelOf({ gate: 'none' })
    for (const { attention } of model.layers) {
      const { weight } = attention!.outputProjection
      weight.assign(tensor(new Float64Array(weight.size), { shape: [...weight.shape], device: 'reference' }))
    }
    for (const windows of [1, 2, 100]) {
      const curve = await lengthLoss(model, tokens, { windows, lengths: [8, 16, 32, 64], rescale: true })
      for (const { drop } of curve) expect(Math.abs(drop)).toBeLessThan(1e-11)
    }
    model.dispose()
  })

  it('takes the windows from all of the tokens', async () => {
    const model = modelOf()
    const curve = await lengthLoss(model, tokens, { lengths: [16], trainedLength: 16, windows: 2 })
    // 9 windows are there; the first and the one at floor(9 / 2) are read.
    const read = [0, 4].flatMap((w) => heldOutBatches(tokens.subarray(w * 16, w * 16 + 17), 1, 16))
    expect(Math.abs(curve[0].loss - (await evaluate(model, read)).loss)).toBeLessThan(1e-11)
    model.dispose()
  })

  it('rescales the base as far as the length goes beyond that of training', async () => {
    const model = modelOf()
    const { dims, base } = model.config.rope
    const curve = await lengthCurve(model, tokens, { lengths: [8, 32] })
    const stretched = await withValuesOf(model, { rope: { dims, base: base * 4 ** (dims / (dims - 2)) } })
    const used = tokens.subarray(0, 4 * 32 + 1)
    const expected = (await evaluate(stretched, heldOutBatches(used, 1, 32))).loss
    expect(Math.abs(curve[1].rescaled - expected)).toBeLessThan(1e-11)
    expect(Math.abs(curve[1].loss - expected)).toBeGreaterThan(1e-4)
    expect(curve[0].rescaled).toBe(curve[0].loss)
    expect(curve.map(({ length }) => length)).toEqual([8, 32])
    model.dispose()
    stretched.dispose()
  })

  it('reads 1, 2, 4 and 8 times the training length unless told, and leaves nothing behind', async () => {
    const model = modelOf({}, 'cpu')
    const before = findDevice('cpu').statistics()
    expect((await lengthLoss(model, tokens)).map(({ length }) => length)).toEqual([8, 16, 32, 64])
    expect(findDevice('cpu').statistics()).toEqual(before)
    model.dispose()
  })

  it('refuses what cannot be measured', async () => {
    const learned = modelOf({ position: 'learned' })
    await expect(lengthLoss(learned, tokens)).rejects.toThrow('lengthLoss: the model has 8 learned positions')
    const none = modelOf({ position: 'none' })
    await expect(lengthLoss(none, tokens, { rescale: true })).rejects.toThrow("position 'none'")
    expect(await lengthLoss(none, tokens)).toHaveLength(4)
    await expect(lengthLoss(none, tokens.subarray(0, 64))).rejects.toThrow('one window of 64 needs 65')
    await expect(lengthLoss(none, tokens, { lengths: [0] })).rejects.toThrow(
      'lengths must be integers from 1 up, got 0',
    )
    await expect(lengthLoss(none, tokens, { windows: 0.5 })).rejects.toThrow('windows must be integers from 1 up')
    learned.dispose()
    none.dispose()
  })
})
