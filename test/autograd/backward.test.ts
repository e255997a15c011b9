/** The walk back: what it sums, what it refuses, what it costs. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { gradients, reachable, record } from '../../src/autograd/tape.ts'
import { findDevice } from '../../src/device/registry.ts'
import {
  checkpoint,
  embedding,
  grad,
  type Nested,
  noGrad,
  ones,
  scope,
  type Tensor,
  tensor,
  where,
  zeros,
} from '../../src/index.ts'
import { unbind } from '../../src/ops/unbind.ts'

const held = () => findDevice('cpu').statistics().buffers

/** A parameter on the reference device, so that integers are exact to 2^53. */
const leaf = (data: Nested) => tensor(data, { device: 'reference', requiresGrad: true })
const gradOf = (t: Tensor) => t.grad?.array()

/** y = x, recorded as a node of its own that calls `seen` when the walk comes by. */
function probe(x: Tensor, seen: (dy: Tensor) => void): Tensor {
  return record('probe', [x], x.alias(x.shape), (dy) => {
    seen(dy)
    return [dy]
  })
}

describe('backward', () => {
  test('adds to what is there', async () => {
    const x = leaf([2, 3])
    x.square().sum().backward()
    expect(await gradOf(x)).toEqual([4, 6])
    x.mul(10).sum().backward()
    expect(await gradOf(x)).toEqual([14, 16])
    const y = x.sum()
    y.backward()
    y.backward()
    expect(await gradOf(x)).toEqual([16, 18])
  })

  test('sums over every path, against the count of paths', async () => {
    // A random graph: tensor i is the sum of two earlier ones. Its gradient to the leaf is its number of paths.
    const graphs = fc.array(fc.tuple(fc.nat(), fc.nat()), { minLength: 1, maxLength: 30 })
    await fc.assert(
      fc.asyncProperty(graphs, async (pairs) => {
        const x = leaf([1, 1])
        const all = [x]
        const paths = [1]
        for (const [i, j] of pairs) {
          const [a, b] = [i % all.length, j % all.length]
          all.push(all[a].add(all[b]))
          paths.push(paths[a] + paths[b])
        }
        all[all.length - 1].sum().backward()
        const count = paths[paths.length - 1]
        expect(await gradOf(x)).toEqual([count, count])
      }),
      { numRuns: 200 },
    )
  })

  test('visits a node of a diamond once', async () => {
    const x = leaf(1)
    let visits = 0
    let y: Tensor = x
    for (let i = 0; i < 40; i++) {
      y = probe(y, () => visits++)
      y = y.add(y)
    }
    y.backward()
    expect(await gradOf(x)).toBe(2 ** 40)
    expect(visits).toBe(40)
  })

  test('sums a broadcast back', async () => {
    const [a, b] = [leaf([[1], [2]]), leaf([10, 20, 30])]
    a.mul(b).sum().backward()
    expect(await gradOf(a)).toEqual([[60], [60]])
    expect(await gradOf(b)).toEqual([3, 3, 3])
  })

  test('takes a cotangent of the shape of the result', async () => {
    const x = leaf([1, 2, 3])
    const v = tensor([1, 10, 100], { device: 'reference' })
    x.square().backward(v)
    expect(await gradOf(x)).toEqual([2, 40, 600])
    expect(await v.array()).toEqual([1, 10, 100])
  })

  test('of a leaf itself is its cotangent, in a tensor of its own', async () => {
    const x = leaf([1, 2])
    const v = tensor([3, 4], { device: 'reference' })
    x.backward(v)
    v.dispose()
    expect(await gradOf(x)).toEqual([3, 4])
  })

  test('stops at detach and noGrad', async () => {
    const x = leaf([3])
    const y = x.mul(x.detach()).add(noGrad(() => x.square()))
    y.sum().backward()
    expect(await gradOf(x)).toEqual([3])
    expect(noGrad(() => x.mul(2)).isTracked).toBe(false)
    // Recording is on again after an error inside.
    expect(() =>
      noGrad(() => {
        throw new Error('on purpose')
      }),
    ).toThrow('on purpose')
    expect(x.mul(2).isTracked).toBe(true)
  })

  test('runs inside noGrad too: the history is there already', async () => {
    const x = leaf([3])
    const y = x.square().sum()
    noGrad(() => y.backward())
    expect(await gradOf(x)).toEqual([6])
    expect(x.grad?.isTracked).toBe(false)
  })

  test('gives only leaves a gradient, and none to a leaf that no longer asks', async () => {
    const [x, w] = [leaf([1, 2]), leaf([3, 4])]
    const h = x.mul(w)
    const y = h.sum()
    w.requiresGrad = false
    y.backward()
    expect([h.grad, w.grad]).toEqual([null, null])
    expect(await gradOf(x)).toEqual([3, 4])
  })

  test('passes over int32 inputs', async () => {
    const table = tensor(
      [
        [1, 2],
        [3, 4],
        [5, 6],
      ],
      { device: 'reference', requiresGrad: true },
    )
    const rows = tensor([2, 0, 2], { dtype: 'int32', device: 'reference' })
    embedding(table, rows).sum().backward()
    expect(await gradOf(table)).toEqual([
      [1, 1],
      [0, 0],
      [2, 2],
    ])
    expect(rows.grad).toBeNull()
    expect(table.argmax(-1).isTracked).toBe(false)
  })

  test('recorded, gives gradients that can be differentiated and that are nobody else’s', async () => {
    const [a, b] = [leaf([2]), leaf([5])]
    a.add(b).sum().backward(undefined, { createGraph: true })
    expect(a.grad).not.toBe(b.grad)
    a.grad?.dispose()
    expect(await gradOf(b)).toEqual([1])
    const x = leaf([2])
    x.pow(3).sum().backward(undefined, { createGraph: true })
    const slope = x.grad as Tensor
    x.grad = null
    slope.sum().backward()
    expect(await gradOf(x)).toEqual([12])
  })

  test('recorded, leaves the cotangent that it was given to its owner', async () => {
    const x = leaf([1, 2])
    const v = tensor([3, 4], { device: 'reference' })
    x.backward(v, { createGraph: true })
    expect(x.grad).not.toBe(v)
    v.dispose()
    expect(await gradOf(x)).toEqual([3, 4])
  })
})

describe('backward refuses', () => {
  test('a result without history', () => {
    expect(() => zeros([1]).add(1).backward()).toThrow(
      /backward: the result \[1\] does not depend on any tensor with requiresGrad; set it before the forward pass, outside noGrad/,
    )
  })

  test('more than one element without a cotangent', () => {
    expect(() => leaf([1, 2]).mul(2).backward()).toThrow(
      /backward: the result has shape \[2\], expected one element; sum it, or give a cotangent of that shape/,
    )
  })

  test('a cotangent of another shape, type or device', () => {
    const y = leaf([1, 2]).mul(2)
    expect(() => y.backward(ones([3], { device: 'reference' }))).toThrow(
      /the cotangent must have the result's shape \[2\], got \[3\]/,
    )
    expect(() => y.backward(1 as unknown as Tensor)).toThrow(/result's shape \[2\], got number/)
    expect(() => y.backward(ones([2]))).toThrow(/must be float on reference as the result is, got float32 on cpu/)
    expect(() => y.backward(ones([2], { dtype: 'int32', device: 'reference' }))).toThrow(/got int32 on reference/)
  })

  test('a history of which a part was freed, instead of losing its gradient', () => {
    const x = leaf([1, 2])
    const y = scope(() => x.mul(2).sum())
    expect(() => y.backward()).toThrow(
      /backward: the gradient flows through mul's result \[2\], which was disposed at backward\.test\.ts:\d+; ask for gradients inside the scope that made it/,
    )
    expect(x.grad).toBeNull()
    expect(() => grad((x: Tensor) => scope(() => x.mul(2).sum()))(x)).toThrow(/grad: .* mul's result .* was disposed/)
    const z = x.sum()
    z.dispose()
    expect(() => z.backward()).toThrow(/sum's result \[\], which was disposed/)
  })

  test('only a history that is needed', async () => {
    // What x's gradient does not need may be gone.
    const frozen = scope(() => leaf([5]).mul(2).add(0))
    const x = leaf([1])
    const slope = grad((x: Tensor) => x.mul(frozen).sum())(x)
    expect(await slope.array()).toEqual([10])
    const older = leaf([5]).mul(2)
    const other = grad((x: Tensor) => {
      const y = x.add(older)
      older.dispose()
      return y.sum()
    })(x)
    expect(await other.array()).toEqual([1])
  })

  test('a failing rule, without leaving anything behind', () => {
    const x = tensor([1, 2], { requiresGrad: true })
    const h = x.mul(2)
    const broken = record('broken', [h], h.alias([2]), () => {
      throw new Error('on purpose')
    })
    const y = broken.mul(3).sum()
    const before = held()
    expect(() => y.backward()).toThrow('on purpose')
    expect(held()).toBe(before)
  })
})

describe('gradients', () => {
  test('of a target that another target depends on has what flows through that one', async () => {
    const x = leaf([1, 2])
    const h = x.square()
    const y = h.mul(h).add(x).sum()
    const [dx, dh, dy] = gradients(y, [x, h, y])
    // y = sum x^4 + x.
    expect(await dx.array()).toEqual([5, 33])
    expect(await dh.array()).toEqual([2, 8])
    expect(await dy.item()).toBe(1)
    expect(x.grad).toBeNull()
    // Walked from y's own node on, h is given, not followed.
    const [direct, through] = gradients(y, [x, h], { since: (h.node?.id ?? 0) + 1 })
    expect(await direct.array()).toEqual([1, 1])
    expect(await through.array()).toEqual([2, 8])
  })

  test('are zeros where nothing flows', async () => {
    const [x, other] = [leaf([1, 2]), leaf([[3]])]
    const [dx, dother] = gradients(x.sum(), [x, other])
    expect(await dx.array()).toEqual([1, 1])
    expect(await dother.array()).toEqual([[0]])
  })

  test('are computed only where they are wanted', () => {
    const [a, b] = [leaf([1]), leaf([2])]
    const constant = tensor([3], { device: 'reference' })
    const called: string[] = []
    const make = (name: string) => () => {
      called.push(name)
      return ones([1], { device: 'reference' })
    }
    const join = () => record('join', [a, b, constant], a.alias([1]), () => [make('a'), make('b'), make('constant')])
    join().sum().backward()
    expect(called).toEqual(['a', 'b'])
    called.length = 0
    gradients(join().sum(), [b])
    expect(called).toEqual(['b'])
    called.length = 0
    // A branch that leads to no target is not walked at all.
    const branch = probe(a, () => called.push('branch'))
    gradients(branch.mul(b).sum(), [b])
    expect(called).toEqual([])
    // The condition of where has no gradient, and takes none.
    where(a.mul(1), b, 0).sum().backward()
    expect(b.grad).not.toBeNull()
  })
})

describe('cost', () => {
  /** Reads of `inputs` over the whole graph behind `y`, while `body` runs. */
  function readsDuring(y: Tensor, body: () => void): number {
    let reads = 0
    for (const node of reachable([y])) {
      const { inputs } = node
      Object.defineProperty(node, 'inputs', {
        get: () => {
          reads++
          return inputs
        },
      })
    }
    body()
    return reads
  }

  function chain(x: Tensor, length: number, seen: () => void): Tensor {
    let y = x
    for (let i = 0; i < length; i++) y = probe(y, seen)
    return y
  }

  test('a chain of 100,000 nodes is walked once each, without recursion', () => {
    const work = [25_000, 100_000].map((length) =>
      scope(() => {
        let calls = 0
        const y = chain(leaf(1), length, () => calls++)
        const reads = readsDuring(y, () => y.backward())
        expect(calls).toBe(length)
        return reads
      }),
    )
    expect(work[1]).toBe(4 * work[0])
  })

  test('100,000 results that meet in one node are summed one by one', () => {
    for (const width of [25_000, 100_000]) {
      scope(() => {
        const x = leaf(1)
        let calls = 0
        const parts = Array.from({ length: width }, () => probe(x, () => calls++))
        const y = record('join', parts, x.alias([]), (dy) => parts.map(() => dy))
        y.backward()
        expect(calls).toBe(width)
        expect(x.grad?.dataNow()[0]).toBe(width)
      })
    }
  })

  test('grad and checkpoint do not walk the history of what they close over', () => {
    scope(() => {
      const past = chain(leaf([1]), 100, () => {})
      const reads = readsDuring(past, () => {
        grad((x: Tensor) => x.mul(past).sum())(tensor([2], { device: 'reference' }))
        grad((x: Tensor) => x.mul(past).sum())(past)
        checkpoint((x: Tensor) => x.mul(past), past)
      })
      expect(reads).toBe(0)
    })
  })

  test('cotangents are freed on the way: as few for a long chain as for a short one', () => {
    const peaks = [10, 200].map((length) => {
      let peak = 0
      scope(() => {
        const x = ones([8], { requiresGrad: true })
        let y: Tensor = x
        for (let i = 0; i < length; i++) y = probe(y.mul(1.01).add(x), () => (peak = Math.max(peak, held())))
        const before = held()
        y.sum().backward()
        peak -= before
        // The gradient of x is all that is left, with the sum that started the walk.
        expect(held() - before).toBe(2)
      })
      return peak
    })
    expect(peaks[1]).toBe(peaks[0])
    expect(peaks[0]).toBeLessThan(8)
  })
})

test('noGrad refuses an async function, whose later part would be recorded', () => {
  const x = tensor([1], { device: 'reference', requiresGrad: true })
  expect(() => noGrad(async () => x.mul(2))).toThrow(/noGrad: the function returned a promise/)
})

test('a node with several results gathers their gradients, and zeros for those that nothing depends on', async () => {
  const x = tensor(
    [
      [1, 2],
      [3, 4],
      [5, 6],
    ],
    { device: 'reference', requiresGrad: true },
  )
  const rows = unbind(x, 0)
  expect(rows.map((row) => row.slot)).toEqual([0, 1, 2])
  expect(new Set(rows.map((row) => row.node)).size).toBe(1)
  rows[2].mul(3).add(rows[0]).sum().backward()
  expect(await x.grad!.array()).toEqual([
    [1, 1],
    [0, 0],
    [3, 3],
  ])
  const y = rows[0].mul(rows[1]).sum()
  const [first, second] = gradients(y, [rows[0], rows[1]])
  expect([await first.array(), await second.array()]).toEqual([
    [3, 4],
    [1, 2],
  ])
})
