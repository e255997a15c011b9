/** Making tensors and reading them back. */
import { inspect } from 'node:util'
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { findDevice } from '../../src/device/registry.ts'
import {
  arange,
  type CreateOptions,
  dropout,
  eye,
  full,
  manualSeed,
  type Nested,
  ones,
  permutation,
  rand,
  randn,
  setDevice,
  type Tensor,
  tensor,
  zeros,
} from '../../src/index.ts'

const RUNS = { numRuns: 200 }

afterEach(async () => {
  await setDevice('cpu')
})

const shapes = (min = 0) => fc.array(fc.integer({ min, max: 3 }), { maxLength: 4 })

/** Nested lists of the values that `next` gives, filled row by row. */
function nested(shape: readonly number[], next: () => number): Nested {
  if (shape.length === 0) return next()
  return Array.from({ length: shape[0] }, () => nested(shape.slice(1), next))
}

describe('tensor', () => {
  test('takes its shape from the nesting and reads back as given', async () => {
    await fc.assert(
      fc.asyncProperty(shapes(1), fc.infiniteStream(fc.double()), async (shape, values) => {
        const flat: number[] = []
        const data = nested(shape, () => flat[flat.push(values.next().value) - 1])
        const t = tensor(data, { device: 'reference' })
        expect(t.shape).toEqual(shape)
        expect(await t.array()).toEqual(data)
        expect(Array.from(await t.data())).toEqual(flat)
        expect([t.rank, t.size]).toEqual([shape.length, shape.reduce((a, b) => a * b, 1)])
        t.dispose()
      }),
      RUNS,
    )
  })

  test('rounds to float32 on the cpu device', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.double()), async (values) => {
        const t = tensor(values)
        expect(t.dtype).toBe('float32')
        expect(t.bytes).toBe(4 * values.length)
        expect(await t.data()).toEqual(Float32Array.from(values))
        t.dispose()
      }),
      RUNS,
    )
  })

  test('takes typed arrays in a shape', async () => {
    const t = tensor(Float64Array.of(1, 2, 3, 4, 5, 6), { shape: [2, 3] })
    expect(await t.array()).toEqual([
      [1, 2, 3],
      [4, 5, 6],
    ])
    expect(tensor(new Float32Array(4)).shape).toEqual([4])
    expect(tensor(Int32Array.of(-(2 ** 31), 7)).dtype).toBe('int32')
    expect(tensor(Int32Array.of(1), { dtype: 'float32' }).dtype).toBe('float32')
    expect(tensor([1, 2, 3, 4], { shape: [2, 2] }).shape).toEqual([2, 2])
  })

  test.each(['cpu', 'reference'])(
    'does not share the array it was given, nor the one it gives back, on %s',
    async (device) => {
      const given = device === 'cpu' ? Float32Array.of(1, 2) : Float64Array.of(1, 2)
      const t = tensor(given, { device })
      given[0] = 9
      for (const read of [await t.data(), t.dataNow()]) {
        expect(Array.from(read)).toEqual([1, 2])
        read[0] = 9
      }
      expect(await t.array()).toEqual([1, 2])
    },
  )

  test('keeps sizes of zero', async () => {
    for (const [data, shape] of [
      [[], [0]],
      [
        [[], []],
        [2, 0],
      ],
    ] as [Nested, number[]][]) {
      const t = tensor(data)
      expect(t.shape).toEqual(shape)
      expect(await t.array()).toEqual(data)
    }
  })

  test('refuses rows of different lengths wherever they are', () => {
    fc.assert(
      fc.property(shapes(2), fc.nat(3), fc.boolean(), (shape, level, longer) => {
        fc.pre(shape.length >= 2)
        const data = nested(shape, () => 1)
        // The last list at this level is the one that is off; the first ones set the shape.
        let list = data as Nested[]
        for (let i = 0; i < 1 + (level % (shape.length - 1)); i++) list = list.at(-1) as Nested[]
        if (longer) list.push(list[0])
        else list.pop()
        expect(() => tensor(data)).toThrow(/all rows need the same length/)
      }),
      RUNS,
    )
  })

  test('says what is wrong with data', () => {
    expect(() => tensor([1, [2]])).toThrow('tensor: expected a number at depth 1 of the nested lists, got a list of 1')
    expect(() => tensor([[1], 2])).toThrow(/expected lists of 1 at depth 1, as the first one is, got number 2/)
    expect(() => tensor(['1'] as unknown as number[])).toThrow(/expected a number at depth 1.*got string 1/)
    expect(() => tensor([1, 2, 3], { shape: [2, 2] })).toThrow('tensor: shape [2, 2] holds 4 elements, the data has 3')
    expect(() => tensor([1], { shape: [-1] })).toThrow(/non-negative integer/)
  })
})

describe('dtypes and devices', () => {
  test('floats are of the device, int32 is on both', () => {
    expect(zeros([1]).dtype).toBe('float32')
    expect(zeros([1], { device: 'reference' }).dtype).toBe('float64')
    for (const device of ['cpu', 'reference']) {
      const t = tensor([1, -2], { dtype: 'int32', device })
      expect([t.dtype, t.device, t.bytes]).toEqual(['int32', device, 8])
    }
  })

  test('a float type of another device is refused with the device that has it', () => {
    expect(() => tensor([1], { dtype: 'float64' })).toThrow(
      "tensor: the cpu device holds float32 and int32, not float64; use { device: 'reference' }",
    )
    expect(() => ones([1], { dtype: 'float32', device: 'reference' })).toThrow(/use { device: 'cpu' }/)
    expect(() => zeros([1], { device: 'tpu' })).toThrow(/there is no device 'tpu'; there are reference, cpu/)
  })

  test('int32 takes integers of its range only', () => {
    for (const bad of [0.5, Number.NaN, 2 ** 31, Number.POSITIVE_INFINITY]) {
      expect(() => tensor([0, bad], { dtype: 'int32' })).toThrow(`element 1 is ${bad}, which is not an int32`)
      expect(() => full([2], bad, { dtype: 'int32' })).toThrow(/not an int32/)
    }
    expect(() => arange(0, 1, 0.5, { dtype: 'int32' })).toThrow(/not an int32/)
  })

  test('the default device is the one that was set', async () => {
    await setDevice('reference')
    expect(zeros([1]).device).toBe('reference')
    await setDevice('cpu')
    expect(zeros([1]).device).toBe('cpu')
  })

  test('operands on two devices are refused', () => {
    expect(() => ones([2]).add(ones([2], { device: 'reference' }))).toThrow(
      /add: operands live on different devices \(\[2\] on cpu, \[2\] on reference\); move one with await t.to\('cpu'\)/,
    )
  })

  test('to moves and rounds, and int32 stays', async () => {
    const t = await tensor([0.1], { device: 'reference' }).to('cpu')
    expect([t.device, await t.item()]).toEqual(['cpu', Math.fround(0.1)])
    const i = await tensor([7], { dtype: 'int32' }).to('reference')
    expect([i.device, i.dtype]).toEqual(['reference', 'int32'])
  })

  test('only float leaves can be parameters', () => {
    expect(ones([1], { requiresGrad: true }).requiresGrad).toBe(true)
    expect(() => tensor([1], { dtype: 'int32', requiresGrad: true })).toThrow(/an int32 tensor has no gradient/)
    const y = ones([1], { requiresGrad: true }).add(1)
    expect(() => {
      y.requiresGrad = true
    }).toThrow(/add's result already has a history; detach\(\) it first/)
  })
})

describe('constants', () => {
  test('full, zeros and ones fill their shape', async () => {
    await fc.assert(
      fc.asyncProperty(shapes(), fc.double(), async (shape, value) => {
        const t = full(shape, value, { device: 'reference' })
        expect(t.shape).toEqual(shape)
        expect(await t.data()).toEqual(new Float64Array(t.size).fill(value))
        t.dispose()
      }),
      RUNS,
    )
    expect(await zeros([2]).array()).toEqual([0, 0])
    expect(await ones([2]).array()).toEqual([1, 1])
  })

  test('arange starts, steps and stays short of its end', async () => {
    const grid = fc.integer({ min: -40, max: 40 }).map((n) => n / 4)
    await fc.assert(
      fc.asyncProperty(grid, grid, grid, async (start, end, step) => {
        fc.pre(step !== 0)
        const expected: number[] = []
        for (let x = start; step > 0 ? x < end : x > end; x += step) expected.push(x)
        expect(Array.from(await arange(start, end, step).data())).toEqual(expected)
      }),
      RUNS,
    )
    expect(await arange(3).array()).toEqual([0, 1, 2])
    expect(() => arange(0, 1, 0)).toThrow(/a step other than 0/)
    expect(() => arange(Number.POSITIVE_INFINITY)).toThrow(/expected finite numbers/)
  })

  test('eye has ones on the diagonal only', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(5), fc.nat(5), async (n, m) => {
        const expected = Array.from({ length: n }, (_, i) => Array.from({ length: m }, (_, j) => Number(i === j)))
        expect(await eye(n, m).array()).toEqual(expected)
      }),
      RUNS,
    )
    expect(eye(3).shape).toEqual([3, 3])
  })
})

describe('random tensors', () => {
  const draws: Record<string, (shape: number[], options: CreateOptions) => Tensor> = {
    rand,
    randn,
    permutation: (shape, options) =>
      permutation(
        shape.reduce((a, b) => a * b, 1),
        options,
      ),
    dropout: (shape, options) => dropout(ones(shape, options), 0.5),
  }

  test.each(Object.entries(draws))('%s has the same bits on every device for a seed', async (_name, draw) => {
    await fc.assert(
      fc.asyncProperty(fc.maxSafeNat(), shapes(), async (seed, shape) => {
        const read = async (device: string) => {
          manualSeed(seed)
          const [a, b] = [draw(shape, { device }), draw(shape, { device })]
          return [Array.from(await a.data()), Array.from(await b.data())]
        }
        const onCpu = await read('cpu')
        expect(onCpu).toEqual(await read('reference'))
        expect(onCpu[0].every((x) => Math.fround(x) === x)).toBe(true)
      }),
      RUNS,
    )
  })

  test('two draws differ, and so do two seeds', async () => {
    manualSeed(1)
    const [a, b] = [await randn([8]).array(), await randn([8]).array()]
    manualSeed(2)
    const c = await randn([8]).array()
    expect(a).not.toEqual(b)
    expect(a).not.toEqual(c)
    manualSeed(1)
    expect(await randn([8]).array()).toEqual(a)
  })

  test('permutation is one', async () => {
    const p = permutation(50)
    expect(p.dtype).toBe('int32')
    expect(Array.from(await p.data()).sort((x, y) => x - y)).toEqual(Array.from({ length: 50 }, (_, i) => i))
    expect(() => permutation(-1)).toThrow(/non-negative integer/)
  })
})

describe('reading', () => {
  test('item takes one element of any rank', async () => {
    expect(await tensor(3).item()).toBe(3)
    expect(await tensor([[[4]]]).item()).toBe(4)
    await expect(tensor([1, 2]).item()).rejects.toThrow('item: [2] has 2 elements, expected 1; use data() or array()')
    await expect(zeros([0]).item()).rejects.toThrow(/has 0 elements/)
  })

  test('a device without host memory is read asynchronously only', () => {
    const t = zeros([2])
    const device = findDevice('cpu')
    Object.defineProperty(device, 'readNow', { value: undefined, configurable: true })
    try {
      expect(() => t.dataNow()).toThrow(/the cpu device cannot be read at once; use await t.data\(\)/)
      expect(String(t)).toBe('tensor([2], float32, cpu)')
    } finally {
      Reflect.deleteProperty(device, 'readNow')
    }
    expect(String(t)).toBe('[0. 0.]')
  })

  test('toString prints as NumPy, inspect adds what the tensor is', () => {
    const t = tensor([
      [1, 2.5],
      [-3, 0.1],
    ])
    expect(String(t)).toBe('[[ 1.   2.5]\n [-3.   0.1]]')
    expect(inspect(t)).toBe('Tensor [2, 2] float32 on cpu\n[[ 1.   2.5]\n [-3.   0.1]]')
    expect(inspect(tensor(2, { requiresGrad: true }))).toBe('Tensor [] float32 on cpu, requiresGrad\n2.0')
    expect(inspect(tensor([1], { dtype: 'int32', device: 'reference' }))).toBe('Tensor [1] int32 on reference\n[1]')
    t.dispose()
    expect(inspect(t)).toBe('Tensor [2, 2] float32 on cpu, disposed')
  })
})
