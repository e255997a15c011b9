/** Shapes against oracles that walk every element. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  around,
  broadcastShapes,
  broadcastStrides,
  checkShape,
  collapse,
  normalAxes,
  normalAxis,
  type Shape,
  sameShape,
  sizeOf,
  stridesOf,
} from '../../src/tensor/shape.ts'

const RUNS = { numRuns: 300 }

const shapes = (maxLength = 4, max = 3, min = 0) => fc.array(fc.integer({ min, max }), { maxLength })

/** Every index of `shape`, row-major. */
function indices(shape: Shape): number[][] {
  return shape.reduce<number[][]>(
    (before, n) => before.flatMap((index) => Array.from({ length: n }, (_, i) => [...index, i])),
    [[]],
  )
}

const offsetOf = (index: readonly number[], strides: readonly number[]) =>
  index.reduce((sum, i, axis) => sum + i * strides[axis], 0)

describe('broadcastShapes', () => {
  /** By the rule's words: aligned at the end, the sizes of an axis other than 1 must be one and the same. */
  function oracle(a: Shape, b: Shape): number[] | null {
    const rank = Math.max(a.length, b.length)
    const aligned = [a, b].map((s) => [...new Array<number>(rank - s.length).fill(1), ...s])
    const axes = Array.from({ length: rank }, (_, i) => new Set(aligned.map((s) => s[i]).filter((n) => n !== 1)))
    return axes.some((sizes) => sizes.size > 1) ? null : axes.map((sizes) => [...sizes][0] ?? 1)
  }

  test('agrees with the rule in words, for shapes that fit and shapes that do not', () => {
    const outcomes = { fits: 0, fails: 0 }
    fc.assert(
      fc.property(shapes(), shapes(), (a, b) => {
        const expected = oracle(a, b)
        outcomes[expected ? 'fits' : 'fails']++
        if (expected) expect(broadcastShapes('add', a, b)).toEqual(expected)
        else expect(() => broadcastShapes('add', a, b)).toThrow(/^add: .* do not broadcast/)
      }),
      { numRuns: 500 },
    )
    expect(Math.min(...Object.values(outcomes))).toBeGreaterThan(30)
  })

  test('names the axis that does not fit', () => {
    expect(() => broadcastShapes('mul', [4, 3], [2, 1])).toThrow(
      'mul: [4, 3] and [2, 1] do not broadcast: sizes 4 and 2 at axis -2 differ and neither is 1',
    )
  })

  test('gives a size of 0 where 0 meets 1', () => {
    expect(broadcastShapes('add', [0], [1])).toEqual([0])
    expect(broadcastShapes('add', [2, 1], [0])).toEqual([2, 0])
  })
})

describe('broadcastStrides', () => {
  test('reads the element that repeats there', () => {
    const pairs = shapes(4, 3, 1).chain((out) =>
      fc.record({
        out: fc.constant(out),
        lead: fc.nat(out.length),
        ones: fc.array(fc.boolean(), { minLength: out.length, maxLength: out.length }),
      }),
    )
    fc.assert(
      fc.property(pairs, ({ out, lead, ones }) => {
        const shape = out.slice(lead).map((n, i) => (ones[i] ? 1 : n))
        const own = stridesOf(shape)
        const strides = broadcastStrides(shape, out)
        for (const index of indices(out)) {
          const there = index.slice(lead).map((i, axis) => i % shape[axis])
          expect(offsetOf(index, strides)).toBe(offsetOf(there, own))
        }
      }),
      RUNS,
    )
  })
})

describe('collapse', () => {
  /** Strides over one shape as operands have them: whole, permuted, repeated along some axes. */
  const operands = shapes(5, 3).chain((shape) =>
    fc.record({
      shape: fc.constant(shape),
      strides: fc.array(
        fc
          .record({
            order: fc.shuffledSubarray(
              shape.map((_, i) => i),
              { minLength: shape.length },
            ),
            repeats: fc.array(fc.boolean(), { minLength: shape.length, maxLength: shape.length }),
            plain: fc.boolean(),
          })
          .map(({ order, repeats, plain }) => {
            if (plain) return stridesOf(shape)
            const moved = stridesOf(order.map((axis) => shape[axis]))
            return shape.map((_, axis) => (repeats[axis] ? 0 : moved[order.indexOf(axis)]))
          }),
        { minLength: 1, maxLength: 3 },
      ),
    }),
  )

  test('walks the same elements in the same order', () => {
    fc.assert(
      fc.property(operands, ({ shape, strides }) => {
        const walk = collapse(shape, strides)
        strides.forEach((own, i) => {
          const joined = indices(walk.shape).map((index) => offsetOf(index, walk.strides[i]))
          expect(joined).toEqual(indices(shape).map((index) => offsetOf(index, own)))
        })
      }),
      RUNS,
    )
  })

  test('leaves no axis of size 1 and no two axes that could be joined', () => {
    fc.assert(
      fc.property(operands, ({ shape, strides }) => {
        const walk = collapse(shape, strides)
        expect(walk.shape).not.toContain(1)
        for (let axis = 1; axis < walk.shape.length; axis++) {
          const joinable = walk.strides.every((s) => s[axis - 1] === s[axis] * walk.shape[axis])
          expect(joinable).toBe(false)
        }
      }),
      RUNS,
    )
  })

  test('makes one axis of a contiguous tensor', () => {
    expect(collapse([2, 3, 4], [stridesOf([2, 3, 4])])).toEqual({ shape: [24], strides: [[1]] })
  })
})

describe('axes', () => {
  test('count from the end when negative', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), fc.integer({ min: -9, max: 9 }), (rank, axis) => {
        const names = Array.from({ length: rank }, (_, i) => i)
        const expected = names.at(axis)
        if (expected === undefined) expect(() => normalAxis('sum', axis, rank)).toThrow(/out of range; expected/)
        else expect(normalAxis('sum', axis, rank)).toBe(expected)
      }),
      RUNS,
    )
  })

  test('are sorted and each there once', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4 }), fc.array(fc.integer({ min: -4, max: 3 })), (rank, list) => {
        const valid = list.filter((a) => a >= -rank && a < rank)
        const plain = valid.map((a) => (a + rank) % rank)
        if (new Set(plain).size < plain.length) expect(() => normalAxes('sum', valid, rank)).toThrow(/named twice/)
        else expect(normalAxes('sum', valid, rank)).toEqual([...plain].sort((a, b) => a - b))
      }),
      RUNS,
    )
    expect(normalAxes('sum', undefined, 3)).toEqual([0, 1, 2])
    expect(normalAxes('sum', -1, 3)).toEqual([2])
    expect(normalAxes('sum', [], 3)).toEqual([])
  })

  test('say what would be right', () => {
    expect(() => normalAxis('mean', 2, 2)).toThrow('mean: axis 2 is out of range; expected -2 to 1 for rank 2')
    expect(() => normalAxis('mean', 0, 0)).toThrow('a rank-0 tensor has no axes')
    expect(() => normalAxis('mean', 0.5, 2)).toThrow(/axis 0.5 is out of range/)
    expect(() => normalAxis('mean', Number.NaN, 2)).toThrow(/axis NaN is out of range/)
  })
})

describe('sizes and strides', () => {
  test('number the elements row-major', () => {
    fc.assert(
      fc.property(shapes(5), (shape) => {
        const offsets = indices(shape).map((index) => offsetOf(index, stridesOf(shape)))
        expect(offsets).toEqual(Array.from({ length: sizeOf(shape) }, (_, i) => i))
      }),
      RUNS,
    )
  })

  test('split around a run of axes', () => {
    fc.assert(
      fc.property(shapes(5, 4, 1), fc.nat(4), fc.nat(4), (shape, i, j) => {
        fc.pre(shape.length > 0)
        const [first, last] = [i % shape.length, j % shape.length].sort((a, b) => a - b)
        const [outer, n, inner] = around(shape, first, last)
        expect(outer * n * inner).toBe(sizeOf(shape))
        expect(inner).toBe(stridesOf(shape)[last])
        expect(n * inner * outer).toBe(outer * shape[first] * stridesOf(shape)[first])
      }),
      RUNS,
    )
  })

  test('compare by every size', () => {
    fc.assert(
      fc.property(shapes(3, 2), shapes(3, 2), (a, b) => {
        expect(sameShape(a, b)).toBe(JSON.stringify(a) === JSON.stringify(b))
      }),
      RUNS,
    )
  })

  test('refuse what is no shape', () => {
    expect(() => checkShape('zeros', [2, -1])).toThrow(
      'zeros: shape [2, -1]: each size must be a non-negative integer, got -1',
    )
    for (const bad of [[1.5], [Number.NaN], [Number.POSITIVE_INFINITY]]) {
      expect(() => checkShape('zeros', bad)).toThrow(/non-negative integer/)
    }
    expect(() => checkShape('zeros', 3 as unknown as Shape)).toThrow('zeros: a shape is a list of sizes, got 3')
  })
})
