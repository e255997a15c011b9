/** What the benches rest on: their draws, their tables, a case for every operation. The models' losses: nn/peers-step. */
import { describe, expect, it, test } from 'vitest'
import { hot, sizes } from '../../bench/arguments.ts'
import { benchCases, describeArguments } from '../../bench/cases.ts'
import { benchDraw } from '../../bench/draw.ts'
import { hashModelSizes } from '../../bench/hash-model.ts'
import { measureOperation } from '../../bench/operations.ts'
import { lossAgreement, stepFlops } from '../../bench/step.ts'
import { formatTable, threeDigits } from '../../bench/table.ts'
import { findDevice } from '../../src/device/registry.ts'
import { operations, scope } from '../../src/index.ts'

describe('the draw of the benches', () => {
  it('gives the same values for the same seed, others for another', () => {
    const values = (seed: number) => scope(() => benchDraw(seed).tensor([100]).dataNow())
    expect(values(1)).toEqual(values(1))
    expect(values(1)).not.toEqual(values(2))
  })

  it('gives shapes of 65536 elements where the record leaves them open, within the ranks it asks for', () => {
    const draw = benchDraw()
    expect(draw.shape()).toEqual([256, 256])
    expect(draw.shape({ maxRank: 1 })).toEqual([65536])
    expect(draw.shape({ minRank: 3 })).toEqual([40, 40, 40])
    expect(draw.shape({ maxRank: 0 })).toEqual([])
    expect(draw.shape({ maxSize: 3 })).toEqual([3, 3])
  })

  it('keeps to the range, and away from points', () => {
    scope(() => {
      const values = benchDraw()
        .tensor([1000], { low: -1, high: 1, away: [0, 0.5, 1] })
        .dataNow()
      for (const x of values) {
        expect(Math.abs(x)).toBeLessThanOrEqual(1)
        for (const point of [0, 0.5, 1]) expect(Math.abs(x - point)).toBeGreaterThanOrEqual(0.125)
      }
      // All three intervals that are left are drawn from: [-1, -1/8], [1/8, 3/8], [5/8, 7/8].
      expect(new Set(values.map((x) => Math.floor(x + 0.5))).size).toBe(3)
    })
    expect(() => benchDraw().tensor([1], { low: 0, high: 0.1, away: [0] })).toThrow(/no value fits/)
  })

  it('gives distinct values where they are asked for, and indices below n', () => {
    scope(() => {
      const draw = benchDraw()
      expect(new Set(draw.tensor([64, 64], { distinct: true }).dataNow()).size).toBe(4096)
      const indices = draw.indices([64, 64], 7)
      expect(indices.dtype).toBe('int32')
      expect([...new Set(indices.dataNow())].sort()).toEqual([0, 1, 2, 3, 4, 5, 6])
    })
  })
})

describe('the tables of the benches', () => {
  it('puts texts to the left, numbers to the right and a dash for nothing', () => {
    const table = formatTable(
      ['name', 'us', 'rate'],
      [
        ['add', 12.345, null],
        ['matmul', 1234.5, 0.5],
      ],
    )
    expect(table.split('\n')).toEqual([
      'name      us  rate',
      '------  ----  ----',
      'add     12.3     -',
      'matmul  1235   0.5',
    ])
  })

  test.each([
    [0.01234, '0.0123'],
    [1.234, '1.23'],
    [99.96, '100'],
    [123456, '123456'],
    [0, '0'],
  ])('shows %d as %s', (x, text) => {
    expect(threeDigits(x)).toBe(text)
  })

  it('names shapes', () => {
    scope(() => {
      const draw = benchDraw()
      expect(describeArguments([draw.tensor([2, 3]), [draw.tensor([])], 1], 'axis 1')).toBe('2x3, scalar, axis 1')
    })
  })
})

describe('the cases', () => {
  const cases = benchCases()
  const measured = cases.filter(({ group }) => group === 'operation')

  it('are one for every public operation', () => {
    const names = [...operations.values()].filter(({ internal }) => !internal).map(({ name }) => name)
    expect(measured.map(({ name }) => name)).toEqual(names)
  })

  it('have arguments only for operations that there are', () => {
    for (const name of [...Object.keys(sizes), ...hot.map(([operation]) => operation)]) {
      expect(operations.has(name), name).toBe(true)
    }
  })

  test.each(measured.map((given) => [given.name, given] as const))(
    '%s runs and frees what it made',
    async (_, given) => {
      const cpu = findDevice('cpu')
      const before = cpu.statistics().buffers
      const time = await measureOperation(given, 1)
      expect(time.forward).toBeGreaterThan(0)
      expect(time.shape).toMatch(/\d/)
      if (given.record.differentiable) expect(time.forwardBackward).toBeGreaterThan(0)
      else expect(time.forwardBackward).toBeNull()
      expect(cpu.statistics().buffers).toBe(before)
    },
  )
})

describe('the step bench', () => {
  it('counts the flops that the comparison states', () => {
    // As published, with as many digits.
    expect((stepFlops(hashModelSizes.tiny) / 1e9).toFixed(2)).toBe('0.39')
    expect((stepFlops(hashModelSizes.small) / 1e9).toFixed(2)).toBe('4.27')
    expect((stepFlops(hashModelSizes.medium) / 1e9).toFixed(1)).toBe('78.1')
  })

  it('says whether losses agree with the published ones, and when the second was not reached', () => {
    const tiny = { cfg: 'tiny', K: 20 } as const
    expect(lossAgreement({ ...tiny, loss0: 4.17309, loss_after_K: 2.41255 }).agrees).toBe(true)
    expect(lossAgreement({ ...tiny, loss0: 4.17309, loss_after_K: 2.4128 })).toMatchObject({
      agrees: false,
      message: expect.stringContaining('DO NOT AGREE'),
    })
    expect(lossAgreement({ ...tiny, loss0: 4.1732, loss_after_K: null }).agrees).toBe(false)
    expect(lossAgreement({ ...tiny, loss0: Number.NaN, loss_after_K: null }).agrees).toBe(false)
    expect(lossAgreement({ ...tiny, loss0: 4.17304, loss_after_K: null }).message).toContain('step 20 was not reached')
  })
})
