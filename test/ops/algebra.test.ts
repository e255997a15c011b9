/** What operations promise beyond their formula: invariances, ties, NaN, inverses, adjoints. In float64, to roundoff. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { arb } from '../../src/check/index.ts'
import * as sluice from '../../src/index.ts'
import { concat, einsum, matmul, maximum, minimum, type Tensor, where } from '../../src/index.ts'
import { expectClose, gradientsOf, holds, leaf, make, numbers, table } from './values.ts'

/** Sums of up to 64 values of size up to 8: 64 roundings of 1e-15 each. */
const ROUNDOFF = 1e-13

const matrices = arb.shape({ minRank: 2, maxRank: 3 })
const withAxis = (options: Parameters<typeof arb.tensor>[1] = {}) =>
  arb.tensor(arb.shape({ minRank: 1 }), options).chain((x) => fc.nat(x.rank - 1).map((axis) => ({ x, axis })))

describe('softmax', () => {
  it('has rows that sum to 1, and is not changed by a shift', () => {
    holds(fc.tuple(withAxis(), fc.integer({ min: -500, max: 500 })), ([{ x, axis }, shift]) => {
      const y = x.softmax(axis)
      const sums = y.sum({ axis })
      expectClose(sums, sums.mul(0).add(1), ROUNDOFF)
      // The shift itself is exact on the grid, so only roundings of the division differ.
      expectClose(x.add(shift).softmax(axis), y, ROUNDOFF)
      expectClose(x.logSoftmax(axis).exp(), y, ROUNDOFF)
    })
  })

  it('gives each row a gradient that sums to 0: moving all of a row changes nothing', () => {
    holds(withAxis(), ({ x, axis }) => {
      const t = leaf(x)
      const [gradient] = gradientsOf(t.softmax(axis), [t], x)
      const sums = gradient.sum({ axis })
      expectClose(sums, sums.mul(0), ROUNDOFF)
    })
  })

  it('does not overflow, and gives an infinitely low score exactly 0', () => {
    expect(numbers(make([1e308, 1e308]).softmax())).toEqual([0.5, 0.5])
    expect(numbers(make([0, Number.NEGATIVE_INFINITY]).softmax())).toEqual([1, 0])
  })

  it('when causal, is exactly 0 above the diagonal, with an exactly zero gradient there', () => {
    holds(
      fc
        .tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 0, max: 2 }))
        .chain(([T, more]) => arb.tensor([2, T, T + more])),
      (x) => {
        const [, T, S] = x.shape
        const t = leaf(x)
        const y = t.softmax(-1, { causal: true })
        const [gradient] = gradientsOf(y, [t], x)
        const hidden = table([T, S], (i, j) => (j > i + S - T ? 1 : 0))
        expect(numbers(y.mul(hidden)).every((v) => v === 0)).toBe(true)
        expect(numbers(gradient.mul(hidden)).every((v) => v === 0)).toBe(true)
        expectClose(y.sum({ axis: -1 }), y.sum({ axis: -1 }).mul(0).add(1), ROUNDOFF)
      },
    )
  })
})

describe('reductions', () => {
  it('logsumexp is the logarithm of the sum of exponentials, and does not overflow', () => {
    holds(withAxis(), ({ x, axis }) => {
      expectClose(x.logsumexp({ axis }), x.exp().sum({ axis }).log(), ROUNDOFF)
      expectClose(x.add(700).logsumexp({ axis }), x.logsumexp({ axis }).add(700), 1e-12)
    })
    expect(numbers(make([1e4, 1e4]).logsumexp())).toEqual([1e4 + Math.log(2)])
    expect(numbers(make([-Infinity, -Infinity]).logsumexp())).toEqual([-Infinity])
  })

  it('over several axes equal reductions one after another', () => {
    holds(
      arb.tensor(arb.shape({ minRank: 2 })).chain((x) => arb.axes(x.rank).map((axis) => ({ x, axis }))),
      ({ x, axis }) => {
        for (const name of ['sum', 'max', 'min', 'mean', 'logsumexp'] as const) {
          const once = x[name]({ axis, keepdim: true })
          const stepwise = axis.reduce((t: Tensor, a) => t[name]({ axis: a, keepdim: true }), x)
          expectClose(once, stepwise, ROUNDOFF, name)
        }
      },
    )
  })

  it('cumsum ends in the sum, and differences undo it', () => {
    holds(withAxis(), ({ x, axis }) => {
      const n = x.shape[axis]
      const part = (t: Tensor, start: number, end: number) =>
        t.slice([...new Array<null>(axis).fill(null), [start, end]])
      const running = x.cumsum(axis)
      expectClose(part(running, n - 1, n), x.sum({ axis, keepdim: true }), ROUNDOFF)
      const zero = part(x, 0, 1).mul(0)
      expectClose(running.sub(concat([zero, part(running, 0, n - 1)], axis)), x, ROUNDOFF)
      expectClose(x.cumsum(axis, { reverse: true }), x.flip(axis).cumsum(axis).flip(axis), ROUNDOFF)
    })
  })

  it('of nothing are 0 for sum, NaN for mean, and refused for the others', () => {
    const none = sluice.zeros([2, 0], { device: 'reference' })
    expect(numbers(none.sum({ axis: 1 }))).toEqual([0, 0])
    expect(numbers(none.mean({ axis: 1 }))).toEqual([Number.NaN, Number.NaN])
    for (const name of ['max', 'min', 'logsumexp'] as const)
      expect(() => none[name]({ axis: 1 })).toThrow(/no elements/)
  })
})

describe('ties and kinks', () => {
  it('share the gradient: half each in maximum and minimum, evenly in max and min', () => {
    holds(arb.tensor(arb.shape({ minRank: 1 })), (x) => {
      for (const op of [maximum, minimum]) {
        const [a, b] = [leaf(x), leaf(x)]
        const [da, db] = gradientsOf(op(a, b), [a, b])
        expect(numbers(da).every((v) => v === 0.5)).toBe(true)
        expect(numbers(db)).toEqual(numbers(da))
      }
      const n = x.size
      const flat = leaf(x.mul(0).add(1))
      for (const name of ['max', 'min'] as const) {
        const [gradient] = gradientsOf(flat[name](), [flat])
        expectClose(gradient, gradient.mul(0).add(1 / n), ROUNDOFF, name)
      }
    })
  })

  it.each([
    ['relu', (x: Tensor) => x.relu(), 0, 0],
    ['abs', (x: Tensor) => x.abs(), 0, 0],
    ['clamp at its lower bound', (x: Tensor) => x.clamp(-1, 1), -1, 1],
    ['clamp at its upper bound', (x: Tensor) => x.clamp(-1, 1), 1, 1],
    ['clamp outside', (x: Tensor) => x.clamp(-1, 1), 1.5, 0],
    ['pow of 0 to the 2nd', (x: Tensor) => x.pow(2), 0, 0],
  ])('%s has the stated gradient', (_name, op, at, slope) => {
    const x = leaf(make([at]))
    expect(numbers(gradientsOf(op(x), [x])[0])).toEqual([slope])
  })

  it('argmax and topK take the first of ties, argmax the first NaN', () => {
    expect(numbers(make([1, 3, 3, 2]).argmax())).toEqual([1])
    expect(numbers(make([1, Number.NaN, 3, Number.NaN]).argmax())).toEqual([1])
    expect(numbers(make([3, 1, 3, 3]).topK(3).indices)).toEqual([0, 2, 3])
  })
})

describe('NaN', () => {
  const nan = make([Number.NaN, 1])
  it.each([
    ['maximum', () => maximum(nan, 0)],
    ['maximum, on the right', () => maximum(0, nan)],
    ['minimum', () => minimum(nan, 0)],
    ['clamp', () => nan.clamp(-1, 2)],
    ['relu', () => nan.relu()],
    ['sign', () => nan.sign()],
    ['abs', () => nan.abs()],
    ['exp', () => nan.exp()],
    ['sigmoid', () => nan.sigmoid()],
    ['tanh', () => nan.tanh()],
    ['silu', () => nan.silu()],
    ['gelu', () => nan.gelu()],
    ['softplus', () => nan.softplus()],
    ['erf', () => nan.erf()],
    ['floor', () => nan.floor()],
    ['sqrt', () => nan.sqrt()],
    ['cumsum', () => nan.cumsum(0)],
  ])('stays in %s', (_name, run) => {
    const values = numbers(run())
    expect(values[0]).toBeNaN()
  })

  it.each(['sum', 'mean', 'max', 'min', 'logsumexp'] as const)('spreads through %s', (name) => {
    expect(numbers(nan[name]())[0]).toBeNaN()
    expect(numbers(nan.flip(0)[name]())[0]).toBeNaN()
  })

  it('spreads through softmax, and through a product with 0', () => {
    expect(numbers(nan.softmax())).toEqual([Number.NaN, Number.NaN])
    expect(numbers(matmul(nan, make([0, 1])))[0]).toBeNaN()
  })

  it('is equal to nothing, and unequal to itself', () => {
    expect(numbers(nan.equal(nan))).toEqual([0, 1])
    expect(numbers(nan.notEqual(nan))).toEqual([1, 0])
    expect(numbers(nan.less(0))[0] + numbers(nan.greaterEqual(0))[0]).toBe(0)
  })

  it('does not leave the side of where that was not taken, backward either', () => {
    const [a, b] = [leaf(make([1, Number.NaN])), leaf(make([Number.NaN, 2]))]
    const y = where(make([1, 0]), a, b)
    expect(numbers(y)).toEqual([1, 2])
    const [da, db] = gradientsOf(y, [a, b])
    expect([numbers(da), numbers(db)]).toEqual([
      [1, 0],
      [0, 1],
    ])
  })

  it('comes from roots and logarithms below 0 and powers that have no value', () => {
    expect(numbers(make([-1]).sqrt())[0]).toBeNaN()
    expect(numbers(make([-1]).log())[0]).toBeNaN()
    expect(numbers(make([0]).log())).toEqual([-Infinity])
    expect(numbers(make([-8, -2, 0]).pow(make([1 / 3, 3, 0])))).toEqual([Number.NaN, -8, 1])
  })
})

describe('elementwise', () => {
  it('functions keep their identities', () => {
    holds(arb.tensor(arb.shape()), (x) => {
      expectClose(x.sigmoid().add(x.neg().sigmoid()), x.mul(0).add(1), ROUNDOFF)
      expectClose(x.softplus().sub(x.neg().softplus()), x, ROUNDOFF)
      expectClose(x.sin().square().add(x.cos().square()), x.mul(0).add(1), ROUNDOFF)
      expectClose(x.exp().log(), x, ROUNDOFF)
      expectClose(x.relu().sub(x.neg().relu()), x, 0)
      expectClose(x.silu(), x.mul(x.sigmoid()), ROUNDOFF)
      expectClose(x.tanh(), x.mul(2).sigmoid().mul(2).sub(1), ROUNDOFF)
      expectClose(x.square(), x.pow(2), ROUNDOFF)
      expectClose(x.abs().mul(x.sign()), x, 0)
    })
  })

  it('saturate without overflow at both ends', () => {
    const far = make([-1000, 1000])
    expect(numbers(far.sigmoid())).toEqual([0, 1])
    expect(numbers(far.tanh())).toEqual([-1, 1])
    expect(numbers(far.softplus())).toEqual([0, 1000])
    expect(numbers(far.erf())).toEqual([-1, 1])
    const t = leaf(far)
    for (const name of ['sigmoid', 'tanh', 'silu', 'gelu', 'softplus', 'erf'] as const) {
      expect(numbers(gradientsOf(t[name](), [t])[0]).every(Number.isFinite), name).toBe(true)
    }
  })

  it('broadcast as laying out in full does', () => {
    const pairs = arb.broadcastable().chain(([a, b]) => fc.tuple(arb.tensor(a), arb.tensor(b, { away: [0] })))
    holds(pairs, ([a, b]) => {
      for (const name of ['add', 'sub', 'mul', 'div', 'maximum', 'minimum', 'less'] as const) {
        const y = a[name](b)
        expectClose(y, a.expand(y.shape)[name](b.expand(y.shape)), 0, name)
      }
    })
  })
})

describe('movement', () => {
  /** <A x, y> = <x, A^T y> for a linear A, whose transpose its gradient must be. */
  const adjoint = (x: Tensor, move: (t: Tensor) => Tensor) => {
    const t = leaf(x)
    const moved = move(t)
    const y = table(moved.shape, (...index) => ((index.reduce((a, i) => 3 * a + i, 1) * 7) % 11) / 4 - 1)
    const [back] = gradientsOf(moved, [t], y)
    expectClose(moved.mul(y).sum(), t.mul(back).sum(), 1e-12)
  }

  const moves: [string, (x: Tensor, n: number) => Tensor][] = [
    ['reshape', (x) => x.reshape([-1])],
    ['transpose', (x) => x.transpose()],
    ['permute', (x) => x.permute(x.shape.map((_, i) => x.rank - 1 - i))],
    ['slice', (x, n) => x.slice([[n % x.shape[0], x.shape[0]]])],
    ['pad', (x, n) => x.pad(x.shape.map((_, i) => [n % 3, i] as const))],
    ['expand', (x, n) => x.unsqueeze(0).expand([1 + (n % 3), ...x.shape])],
    ['flip', (x, n) => x.flip(n % x.rank)],
    ['concat', (x, n) => concat([x, x.mul(2), x], n % x.rank)],
    ['tril', (x, n) => x.tril((n % 5) - 2)],
    ['triu', (x, n) => x.triu((n % 5) - 2)],
    ['cumsum', (x, n) => x.cumsum(n % x.rank)],
    ['sum', (x, n) => x.sum({ axis: n % x.rank })],
    ['gather', (x, n) => x.gather(make(new Int32Array(x.size).fill(n % x.shape[0]), { shape: x.shape }), 0)],
    [
      'scatterAdd',
      (x, n) => x.mul(2).scatterAdd(make(new Int32Array(x.size).fill(n % x.shape[0]), { shape: x.shape }), x, 0),
    ],
    ['rope', (x) => x.reshape([1, -1, 1, 1]).expand([1, x.size, 1, 2]).rope()],
  ]
  it.each(moves)('%s is the transpose of its gradient', (_name, move) => {
    holds(fc.tuple(arb.tensor(matrices), fc.nat(60)), ([x, n]) => adjoint(x, (t) => move(t, n)))
  })

  it('is undone by its inverse, exactly', () => {
    const samples = arb
      .tensor(arb.shape({ minRank: 1 }))
      .chain((x) => arb.permutation(x.rank).map((axes) => ({ x, axes })))
    holds(samples, ({ x, axes }) => {
      const inverse = axes.map((_, i) => axes.indexOf(i))
      expectClose(x.permute(axes).permute(inverse), x, 0)
      expectClose(x.reshape([-1]).reshape(x.shape), x, 0)
      expectClose(x.flip(0).flip(0), x, 0)
      expectClose(
        x
          .pad(
            x.shape.map(() => [1, 2] as const),
            9,
          )
          .slice(x.shape.map((n) => [1, 1 + n] as const)),
        x,
        0,
      )
      expectClose(x.unsqueeze(0).squeeze(0), x, 0)
      const n = x.shape[0]
      const cut = Math.floor(n / 2)
      expectClose(concat([x.slice([[0, cut]]), x.slice([[cut, n]])], 0), x, 0)
    })
  })

  it('splits a matrix into its triangles', () => {
    holds(fc.tuple(arb.tensor(matrices), fc.integer({ min: -3, max: 3 })), ([x, k]) => {
      expectClose(x.tril(k).add(x.triu(k + 1)), x, 0)
    })
  })

  it('topK is sorted, and holds nothing smaller than what it leaves out', () => {
    holds(withAxis({ distinct: true }), ({ x, axis }) => {
      const n = x.shape[axis]
      const all = x.topK(n, { axis })
      expectClose(x.gather(all.indices, axis), all.values, 0)
      const part = (t: Tensor, start: number, end: number) =>
        t.slice([...new Array<null>(axis).fill(null), [start, end]])
      if (n > 1) {
        const falls = part(all.values, 0, n - 1).greater(part(all.values, 1, n))
        expect(numbers(falls).every((v) => v === 1)).toBe(true)
      }
      const k = Math.ceil(n / 2)
      expectClose(x.topK(k, { axis }).values, part(all.values, 0, k), 0)
    })
  })
})

describe('products', () => {
  const product = fc
    .tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 }))
    .chain(([m, k, n]) => fc.tuple(arb.tensor([2, m, k]), arb.tensor([2, k, n])))

  it('matmul reads transposes in place, forward and backward', () => {
    holds(product, ([a, b]) => {
      const expected = matmul(a, b)
      const [at, bt] = [a.transpose(), b.transpose()]
      expectClose(matmul(at, b, { transposeA: true }), expected, 0)
      expectClose(matmul(a, bt, { transposeB: true }), expected, 0)
      expectClose(matmul(at, bt, { transposeA: true, transposeB: true }), expected, 0)
      expectClose(matmul(bt, at), expected.transpose(), 0)
      const leaves = [leaf(a), leaf(b)]
      const plain = gradientsOf(matmul(leaves[0], leaves[1]), leaves, expected)
      const turned = [leaf(at), leaf(bt)]
      const other = gradientsOf(matmul(turned[0], turned[1], { transposeA: true, transposeB: true }), turned, expected)
      expectClose(other[0].transpose(), plain[0], ROUNDOFF)
      expectClose(other[1].transpose(), plain[1], ROUNDOFF)
    })
  })

  it('einsum is the sum over loops', () => {
    holds(product, ([a, b]) => {
      const [B, m, k] = a.shape
      const n = b.shape[2]
      const [A, C] = [a.dataNow(), b.dataNow()]
      const at = (z: number, i: number, j: number) => A[(z * m + i) * k + j]
      const ct = (z: number, i: number, j: number) => C[(z * k + i) * n + j]
      const total = (count: number, f: (i: number) => number) =>
        Array.from({ length: count }, (_, i) => f(i)).reduce((x, y) => x + y, 0)
      const loops = table([B, m, n], (z, i, j) => total(k, (l) => at(z, i, l) * ct(z, l, j)))
      expectClose(einsum('bij,bjk->bik', a, b), loops, ROUNDOFF)
      expectClose(einsum('bij,bjk', a, b), loops.sum({ axis: 0 }), ROUNDOFF)
      expectClose(einsum('bij,bjk->kib', a, b), loops.permute([2, 1, 0]), ROUNDOFF)
      expectClose(einsum('...ij,...jk->...ik', a, b), loops, ROUNDOFF)
      expectClose(
        einsum('bij->j', a),
        table([k], (j) => total(B, (z) => total(m, (i) => at(z, i, j)))),
        ROUNDOFF,
      )
      const square = matmul(a, a, { transposeB: true })
      const S = square.dataNow()
      expectClose(
        einsum('bii->bi', square),
        table([B, m], (z, i) => S[(z * m + i) * m + i]),
        0,
      )
    })
  })

  it('solveUnitLower solves, and its transpose solves the transpose', () => {
    const systems = fc
      .tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 3 }))
      .chain(([C, N]) => fc.tuple(arb.tensor([C, C], { low: -1, high: 1 }), arb.tensor([C, N])))
    holds(systems, ([a, b]) => {
      const M = a.tril(-1).add(sluice.eye(a.shape[0], a.shape[0], { device: 'reference' }))
      expectClose(matmul(M, a.solveUnitLower(b)), b, 1e-12)
      expectClose(matmul(M, a.solveUnitLower(b, { transpose: true }), { transposeA: true }), b, 1e-12)
    })
  })
})

describe('normalisation', () => {
  it('gives rows of mean square 1, of mean 0 and variance 1, of length 1', () => {
    holds(arb.tensor(arb.shape({ minRank: 1, maxRank: 2 }), { away: [0], distinct: true }), (x) => {
      const C = x.shape.at(-1)!
      const [one, zero] = [make(new Float64Array(C).fill(1)), make(new Float64Array(C))]
      const ones = x.sum({ axis: -1 }).mul(0).add(1)
      expectClose(x.rmsNorm(one, { eps: 0 }).square().mean({ axis: -1 }), ones, ROUNDOFF)
      expectClose(x.rmsNorm(zero, { zeroCentred: true }), x.rmsNorm(one), 0)
      expectClose(x.l2Norm({ eps: 0 }).square().sum({ axis: -1 }), ones, ROUNDOFF)
      if (C === 1) return
      const y = x.layerNorm(one, zero, { eps: 0 })
      // The centred values are exact to 1e-16 and as small as 1/32 when two neighbours make a row: 32 times that.
      expectClose(y.mean({ axis: -1 }), ones.mul(0), 1e-12)
      expectClose(y.square().mean({ axis: -1 }), ones, 1e-12)
    })
  })

  it('crossEntropy is -log softmax at the target, and its gradient softmax minus one-hot', () => {
    const samples = fc
      .tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 5 }))
      .chain(([n, V]) => fc.tuple(arb.tensor([n, V]), fc.array(fc.nat(V - 1), { minLength: n, maxLength: n })))
    holds(samples, ([x, classes]) => {
      const [n, V] = x.shape
      const targets = make(Int32Array.from(classes))
      const t = leaf(x)
      const loss = t.crossEntropy(targets)
      expectClose(loss, x.logSoftmax().mul(targets.oneHot(V)).sum().div(-n), ROUNDOFF)
      const [gradient] = gradientsOf(loss, [t])
      expectClose(gradient, x.softmax().sub(targets.oneHot(V)).div(n), ROUNDOFF)
    })
  })
})
