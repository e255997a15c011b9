/** Gradients of gradients, against calculus. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { grad, matmul, type Nested, noGrad, ones, type Tensor, tensor } from '../../src/index.ts'

const EPSILON = 2 ** -52
const constant = (data: Nested) => tensor(data, { device: 'reference' })
const leaf = (data: Nested) => tensor(data, { device: 'reference', requiresGrad: true })
const numbers = (min: number, max: number) => fc.double({ min, max, noNaN: true })

/** `|actual - expected| <= bound`, elementwise, with the numbers shown. */
async function expectClose(actual: Tensor, expected: readonly number[], bound: number): Promise<void> {
  const values = Array.from(await actual.data())
  expect(values).toHaveLength(expected.length)
  values.forEach((value, i) => {
    expect(Math.abs(value - expected[i]), `element ${i}: ${value}, expected ${expected[i]}`).toBeLessThanOrEqual(bound)
  })
}

describe('grad', () => {
  test('three orders of a sum of powers and a sine', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(numbers(-2, 2), { minLength: 1, maxLength: 5 }), numbers(-3, 3), async (xs, c) => {
        // f = sum c x^4 + x^3 + sin x. Sums make each order a scalar again.
        const f = (x: Tensor) => x.square().square().mul(c).add(x.square().mul(x)).add(x.sin()).sum()
        const first = grad(f)
        const second = grad((x: Tensor) => first(x).sum())
        const third = grad((x: Tensor) => second(x).sum())
        const x = constant(xs)
        // Terms are at most 24 * 3 * 2^3 = 576 and 30 operations or so round them, each to half an EPSILON.
        const bound = 576 * 30 * EPSILON
        await expectClose(
          first(x),
          xs.map((x) => 4 * c * x ** 3 + 3 * x ** 2 + Math.cos(x)),
          bound,
        )
        await expectClose(
          second(x),
          xs.map((x) => 12 * c * x ** 2 + 6 * x - Math.sin(x)),
          bound,
        )
        await expectClose(
          third(x),
          xs.map((x) => 24 * c * x + 6 - Math.cos(x)),
          bound,
        )
        expect(third(x).isTracked).toBe(false)
      }),
      { numRuns: 200 },
    )
  })

  test('grad(grad) of one element nests as it is', async () => {
    const x = constant([3])
    expect(await grad(grad((x: Tensor) => x.square().mul(x).sum()))(x).array()).toEqual([18])
    expect(await grad(grad(grad((x: Tensor) => x.square().mul(x).sum())))(x).array()).toEqual([6])
    expect(await grad((x: Tensor) => x)(x).array()).toEqual([1])
  })

  test('several inputs give a list, in their shapes', async () => {
    const [a, b] = [
      constant([
        [1, 2],
        [3, 4],
      ]),
      constant([10, 20]),
    ]
    const found = grad((a: Tensor, b: Tensor) => a.mul(b).sum())(a, b)
    expect(await found[0].array()).toEqual([
      [10, 20],
      [10, 20],
    ])
    expect(await found[1].array()).toEqual([4, 6])
    // The same tensor twice is two inputs.
    const same = grad((x: Tensor, y: Tensor) => x.mul(y.square()).sum())(b, b)
    expect(await same[0].array()).toEqual([100, 400])
    expect(await same[1].array()).toEqual([200, 800])
  })

  test('mixed partial derivatives commute', async () => {
    await fc.assert(
      fc.asyncProperty(numbers(-2, 2), numbers(-2, 2), async (u, v) => {
        const f = (a: Tensor, b: Tensor) => a.mul(b).sin().add(a.square().mul(b)).sum()
        const byA = (a: Tensor, b: Tensor) => grad((a: Tensor) => f(a, b))(a)
        const byB = (a: Tensor, b: Tensor) => grad((b: Tensor) => f(a, b))(b)
        const [a, b] = [constant([u]), constant([v])]
        const exact = Math.cos(u * v) - u * v * Math.sin(u * v) + 2 * u
        // Terms below 10 and 20 roundings.
        await expectClose(grad((b: Tensor) => byA(a, b).sum())(b), [exact], 200 * EPSILON)
        await expectClose(grad((a: Tensor) => byB(a, b).sum())(a), [exact], 200 * EPSILON)
      }),
      { numRuns: 200 },
    )
  })

  test('Hessian times vector, against the analytic Hessian and differences of gradients', async () => {
    const n = 3
    const rows = fc.array(fc.array(numbers(-1, 1), { minLength: n, maxLength: n }), { minLength: n, maxLength: n })
    const row = fc.array(numbers(-1, 1), { minLength: n, maxLength: n })
    await fc.assert(
      fc.asyncProperty(rows, row, row, async (matrix, point, direction) => {
        const [a, v] = [constant(matrix), constant(direction)]
        // f = sum sin(A x); its Hessian is -A^T diag(sin(A x)) A.
        const f = (x: Tensor) => matmul(a, x).sin().sum()
        const product = grad((x: Tensor) => grad(f)(x).mul(v).sum())(constant(point))
        const times = (r: readonly number[], x: readonly number[]) => r.reduce((sum, w, i) => sum + w * x[i], 0)
        const inner = matrix.map((r) => -Math.sin(times(r, point)) * times(r, direction))
        const exact = point.map((_, j) => inner.reduce((sum, w, i) => sum + matrix[i][j] * w, 0))
        // Three terms of at most 3 each, about ten roundings on the way.
        await expectClose(product, exact, 100 * EPSILON)
        // (g(x + h v) - g(x - h v)) / 2h leaves out h^2 / 6 of the third derivative along v, which is at most
        // sum |A_ij| |A v|^3 <= 3 * 27 = 81: below 1.4e-9; rounding adds 3 * 10 EPSILON / 2h = 4e-10. Together under 2e-9.
        const h = 1e-5
        const at = (sign: number) => grad(f)(constant(point.map((x, i) => x + sign * h * direction[i]))).data()
        const [above, below] = [await at(1), await at(-1)]
        await expectClose(
          product,
          Array.from(above, (g, i) => (g - below[i]) / (2 * h)),
          2e-9,
        )
      }),
      { numRuns: 200 },
    )
  })

  test('an input that does not matter gets zeros', async () => {
    const [a, b] = [constant([1, 2]), constant([[3]])]
    const found = grad((a: Tensor, _b: Tensor) => a.sum())(a, b)
    expect(await found[1].array()).toEqual([[0]])
    expect(await grad((_x: Tensor) => constant(1))(a).array()).toEqual([0, 0])
    // The second derivative of a linear function.
    expect(await grad((x: Tensor) => grad((x: Tensor) => x.mul(3).sum())(x).sum())(a).array()).toEqual([0, 0])
  })
})

describe('grad and parameters', () => {
  test('a gradient penalty goes back through grad', async () => {
    const entries = fc.array(fc.tuple(numbers(-2, 2), numbers(-2, 2)), { minLength: 1, maxLength: 4 })
    await fc.assert(
      fc.asyncProperty(entries, async (pairs) => {
        const [ws, xs] = [pairs.map(([w]) => w), pairs.map(([, x]) => x)]
        const [w, x] = [leaf(ws), constant(xs)]
        // d/dx of w x^3 is 3 w x^2; the sum of its squares, 9 w^2 x^4, has the gradient 18 w x^4.
        const slope = grad((x: Tensor) => w.mul(x.square().mul(x)).sum())(x)
        slope.square().sum().backward()
        // At most 18 * 2 * 16 = 576, with about 20 roundings.
        await expectClose(
          w.grad as Tensor,
          pairs.map(([w, x]) => 18 * w * x ** 4),
          576 * 20 * EPSILON,
        )
        expect(x.grad).toBeNull()
      }),
      { numRuns: 200 },
    )
  })

  test('a tracked input joins the surrounding history', async () => {
    const x = leaf([2])
    // d/dx (x^3)' = 6 x, through an input that is itself a parameter.
    grad((y: Tensor) => y.square().mul(y).sum())(x)
      .sum()
      .backward()
    expect(await x.grad?.array()).toEqual([12])
    const h = leaf([2])
    grad((y: Tensor) => y.square().sum())(h.mul(5))
      .sum()
      .backward()
    expect(await h.grad?.array()).toEqual([10])
  })

  test('leaves no gradient behind, on inputs or on parameters', () => {
    const [w, x] = [leaf([2]), leaf([3])]
    grad((x: Tensor) => x.mul(w).sum())(x)
    expect([w.grad, x.grad]).toEqual([null, null])
  })

  test('later walks do not go to the inputs that grad made for itself', () => {
    const w = leaf([2])
    let inner: Tensor | undefined
    const slope = grad((x: Tensor) => {
      inner = x
      return w.mul(x.square()).sum()
    })(constant([3]))
    slope.sum().backward()
    expect(w.grad).not.toBeNull()
    expect(inner?.grad).toBeNull()
  })

  test('inside noGrad gives the value without a history', async () => {
    const w = leaf([2])
    const slope = noGrad(() => grad((x: Tensor) => x.square().mul(w).sum())(w))
    expect(await slope.array()).toEqual([8])
    expect(slope.isTracked).toBe(false)
  })

  test('gradients of two inputs are two tensors', async () => {
    const w = leaf([1])
    const [da, db] = grad((a: Tensor, b: Tensor) => a.add(b).mul(w).sum())(constant([1]), constant([2]))
    da.dispose()
    expect(await db.array()).toEqual([1])
  })
})

describe('grad refuses', () => {
  test('what is no scalar function of float tensors', () => {
    const x = ones([2])
    expect(() => grad((x: Tensor) => x)(x)).toThrow(
      /grad: the function must return a tensor of one element, got \[2\]; sum it/,
    )
    expect(() => grad((_x: Tensor) => 1 as unknown as Tensor)(x)).toThrow(/got number; sum it/)
    expect(() => grad((x: Tensor) => x.sum())(1 as unknown as Tensor)).toThrow(/expected tensors as inputs, got number/)
    expect(() => grad((x: Tensor) => x.sum())(tensor([1], { dtype: 'int32' }))).toThrow(
      /an int32 input has no gradient; close over it instead/,
    )
  })
})
