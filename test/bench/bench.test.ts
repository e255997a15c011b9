/** What the benches rest on: their draws, their tables, a case for every operation. The models' losses: nn/peers-step. */
import { describe, expect, it, test } from 'vitest'
import { hot, sizes } from '../../bench/arguments.ts'
import { benchCases, describeArguments } from '../../bench/cases.ts'
import { benchDraw } from '../../bench/draw.ts'
import { compare } from '../../bench/gpu/compare.ts'
import { tasksOf } from '../../bench/gpu/plan.ts'
import { difference } from '../../bench/gpu/profile.ts'
import { type GpuRecord, showRecords, summarize } from '../../bench/gpu/records.ts'
import { parseSettings, productCases, productFlops } from '../../bench/gpu/settings.ts'
import { hashModel, hashModelSizes, largeModelSizes } from '../../bench/hash-model.ts'
import { median } from '../../bench/median.ts'
import { measureOperation } from '../../bench/operations.ts'
import { lossAgreement, stepFlops } from '../../bench/step.ts'
import { formatTable, threeDigits } from '../../bench/table.ts'
import { findDevice } from '../../src/device/registry.ts'
import { defaultGenerator, operations, scope } from '../../src/index.ts'

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

describe('the GPU bench', () => {
  it('counts the flops of the larger models', () => {
    // Three passes; per token and layer 13 C^2 multiply-adds in products and 2 T C in attention, then the head.
    expect(stepFlops(largeModelSizes.base)).toBe(3 * 2 * 8192 * (12 * (13 * 768 ** 2 + 2 * 1024 * 768) + 768 * 65))
    expect((stepFlops(largeModelSizes.large) / 1e12).toFixed(2)).toBe('9.28')
  })

  it('measures all it can say of itself unless told otherwise', () => {
    const all = parseSettings([])
    expect(Object.keys(all.models)).toEqual(['tiny', 'small', 'medium', 'base', 'large'])
    expect(all.models.large).toMatchObject({ B: 4, T: 1024, layers: 24 })
    expect(all.products.map(({ row }) => row)).toEqual([
      ...['512 NN', '1024 NN', '2048 NN', '4096 NN', '8192 NN', '2048 NT', '2048 TN'],
      ...['64 x 512 NN', '4096 x 256 x 4096 NN'],
    ])
    expect(all).toMatchObject({ parity: 50, rounds: 2, minutes: Number.POSITIVE_INFINITY, torch: undefined })
  })

  it('takes its options, and refuses what there is not', () => {
    const given = parseSettings(
      '--models base,tiny --batch-base 2 --largest 2048 --only steps --minutes 8.5 --parity 3'.split(' '),
    )
    expect(Object.keys(given.models)).toEqual(['base', 'tiny'])
    expect(given.models.base.B).toBe(2)
    expect(given.products.every(({ m, n }) => Math.max(m, n) <= 2048)).toBe(true)
    expect(given).toMatchObject({ only: ['steps'], minutes: 8.5, parity: 3 })
    expect(parseSettings(['--quick']).models).toHaveProperty('tiny')
    expect(() => parseSettings(['--models', 'huge'])).toThrow(/--models: there is no 'huge'; there are tiny/)
    expect(() => parseSettings(['--minutes', 'soon'])).toThrow(/--minutes must be a positive number/)
    expect(() => parseSettings(['--parity', '0'])).toThrow(/--parity must be a positive integer/)
    expect(() => parseSettings(['--fast'])).toThrow(/--fast/)
  })

  it('counts a multiply-add as two operations, in every product of a batch', () => {
    const flops = Object.fromEntries(productCases(8192).map((given) => [given.row, productFlops(given)]))
    expect(flops['8192 NN']).toBe(2 * 8192 ** 3)
    expect(flops['64 x 512 NN']).toBe(64 * 2 * 512 ** 3)
    expect(flops['4096 x 256 x 4096 NN']).toBe(2 * 4096 * 256 * 4096)
  })

  it('lets the engines take turns, and PyTorch only when it is asked for', () => {
    const names = (args: string[]) => tasksOf(parseSettings(args)).map(({ engine, label }) => `${engine} ${label}`)
    expect(names(['--only', 'products', '--torch', 'python3'])).toEqual([
      ...['sluice machine', 'pytorch machine'],
      ...['sluice products', 'pytorch products', 'sluice products', 'pytorch products'],
    ])
    expect(names(['--quick']).some((name) => name.startsWith('pytorch'))).toBe(false)
  })

  it('takes the time between two tables of a profile', () => {
    const row = (kernel: string, calls: number, milliseconds: number) => ({
      kernel,
      calls,
      milliseconds,
      share: 0,
      gigaflops: 0,
      gigabytes: 0,
    })
    const seen = difference(
      [row('add', 1, 2), row('old', 1, 5)],
      [row('add', 3, 5), row('old', 1, 5), row('new', 1, 1)],
    )
    expect(seen.map(({ kernel, calls, milliseconds, share }) => [kernel, calls, milliseconds, share])).toEqual([
      ['add', 2, 3, 0.75],
      ['new', 1, 1, 0.25],
    ])
  })

  it('compares medians of the rounds with those of PyTorch', () => {
    const product = (engine: 'sluice' | 'pytorch', way: string, round: number, milliseconds: number): GpuRecord => ({
      engine,
      round,
      section: 'products',
      row: '512 NN',
      way,
      milliseconds,
      tflops: (2 * 512 ** 3) / milliseconds / 1e9,
    })
    const step = (engine: 'sluice' | 'pytorch', way: string, milliseconds: number, loss0: number): GpuRecord => ({
      ...{ engine, round: 1, section: 'steps', row: 'tiny', way, batch: 8, milliseconds },
      ...{ tokensPerSecond: 512e3 / milliseconds, loss0, lossAfterK: 2, K: 20 },
    })
    const records = [
      ...[4, 1, 2].map((ms, i) => product('sluice', 'captured', i + 1, ms)),
      product('pytorch', 'mm', 1, 1),
      step('sluice', 'captured', 2, 4),
      step('sluice', 'eager', 5, 4),
      step('pytorch', 'eager', 3, 4.5),
      step('pytorch', 'eager, sdpa', 1, 4),
    ]
    expect(compare(records)).toContain('| 512 NN | 0.134 |  | 0.268 | 0.50 |')
    expect(compare(records)).toContain(
      '| tiny | 2 | 5 | 1 |  | 256000 | 0.50 |  | differ by 5e-1 at first, 0e+0 after K |',
    )
    expect(showRecords(records)).toMatch(/512 NN +sluice +captured +2 +0.134 +3/)
    expect(median([3, 1, 2])).toBe(2)
    expect(summarize([])).toEqual([])
  })

  it('draws again after the weights of a model took the place of random ones', () => {
    scope(() => {
      const { model, optimizer } = hashModel({ layers: 1, width: 8, heads: 2, T: 4, B: 1, batches: 1, losses: null })
      optimizer.dispose()
      model.dispose()
      expect(defaultGenerator.normal(4).some((z) => z !== 0)).toBe(true)
    })
  })
})
