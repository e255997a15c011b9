/** Who frees what, counted in buffers of the cpu device. */
import v8 from 'node:v8'
import vm from 'node:vm'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { findDevice } from '../../src/device/registry.ts'
import { userPlace } from '../../src/errors.ts'
import { checkLeaks, noGrad, ones, randn, scope, type Tensor, tensor, zeros } from '../../src/index.ts'

const held = () => findDevice('cpu').statistics().buffers
const heldBytes = () => findDevice('cpu').statistics().bytes

/** Runs `body` and says how many buffers more there are afterwards. */
function added(body: () => void): number {
  const before = held()
  body()
  return held() - before
}

/** `file:line` of the line `offset` below the caller's. */
function placeBelow(offset: number): string {
  const [file, line] = userPlace((new Error().stack ?? '').replace(/\n.*placeBelow.*/, '')).split(':')
  return `${file}:${Number(line) + offset}`
}

/** A scope that makes `own` tensors and returns the first `kept` of them and every other one of its children's. */
interface Program {
  own: number
  kept: number
  throws: boolean
  children: Program[]
}

const programs = fc.letrec<{ program: Program; children: Program[] }>((tie) => ({
  program: fc.record({
    own: fc.nat(4),
    kept: fc.nat(4),
    throws: fc.integer({ min: 0, max: 7 }).map((n) => n === 0),
    children: tie('children'),
  }),
  children: fc.oneof({ depthSize: 'small' }, fc.constant<Program[]>([]), fc.array(tie('program'), { maxLength: 3 })),
})).program

function runProgram({ own, kept, throws, children }: Program): Tensor[] {
  return scope(() => {
    const made = Array.from({ length: own }, (_, i) => zeros([i + 1]))
    const given = children.flatMap((child) => {
      try {
        return runProgram(child)
      } catch {
        return []
      }
    })
    if (throws) throw new Error('on purpose')
    return [...made.slice(0, kept), ...given.filter((_, i) => i % 2 === 0)]
  })
}

describe('scope', () => {
  test('frees exactly what was not returned, however scopes nest and throw', () => {
    fc.assert(
      fc.property(programs, (program) => {
        const [before, bytes] = [held(), heldBytes()]
        let kept: Tensor[] = []
        try {
          kept = runProgram(program)
        } catch {}
        expect(held() - before).toBe(kept.length)
        expect(heldBytes() - bytes).toBe(kept.reduce((sum, t) => sum + t.bytes, 0))
        for (const t of kept) {
          expect(t.isDisposed).toBe(false)
          t.dispose()
        }
        expect(held()).toBe(before)
        expect(heldBytes()).toBe(bytes)
      }),
      { numRuns: 300 },
    )
  })

  test('finds returned tensors in lists, maps, sets and objects', () => {
    const before = held()
    const result = scope(() => {
      const [a, b, c, d, e] = [1, 2, 3, 4, 5].map((n) => zeros([n]))
      zeros([6])
      const ring: Record<string, unknown> = { d }
      ring.self = ring
      return { list: [a, [b]], map: new Map([['c', c]]), ring, set: new Set([e]), nothing: null, text: 'x' }
    })
    expect(held() - before).toBe(5)
    expect(result.map.get('c')?.isDisposed).toBe(false)
    for (const t of [result.list[0], (result.list[1] as Tensor[])[0], result.map.get('c'), result.ring.d]) {
      ;(t as Tensor).dispose()
    }
    for (const t of result.set) t.dispose()
    expect(held()).toBe(before)
  })

  test('leaves alone what was made outside', () => {
    const outer = zeros([2])
    scope(() => outer.add(1))
    expect(outer.isDisposed).toBe(false)
    expect(added(() => scope(() => outer))).toBe(0)
    expect(outer.isDisposed).toBe(false)
  })

  test('frees everything when its function throws, and passes the error on', () => {
    const before = held()
    const wrong = new Error('mine')
    expect(() =>
      scope(() => {
        zeros([3]).add(1)
        throw wrong
      }),
    ).toThrow(wrong)
    expect(held()).toBe(before)
    // The scope is gone too: what is made now belongs to nobody's scope.
    const t = zeros([1])
    expect(checkLeaks().some((leak) => leak.shape === t.shape)).toBe(true)
  })

  test('refuses an async function and frees what it made', async () => {
    const before = held()
    let late: Promise<unknown> | undefined
    expect(() =>
      scope(() => {
        late = (async () => zeros([3]))()
        return late
      }),
    ).toThrow(/scope: the function returned a promise.*read values after the scope/)
    await late
    expect(held()).toBe(before)
  })

  test('a parameter takes its gradient along', async () => {
    const before = held()
    const p = scope(() => {
      const p = ones([2], { requiresGrad: true })
      p.square().sum().backward()
      return p
    })
    expect(await p.grad?.array()).toEqual([2, 2])
    expect(held() - before).toBe(2)
    p.dispose()
    expect(held()).toBe(before)
  })

  test('a gradient made in an inner scope lives with its parameter', async () => {
    const before = held()
    const p = ones([2], { requiresGrad: true })
    for (let step = 1; step <= 3; step++) {
      scope(() => scope(() => p.mul(3).sum().backward()))
      expect(await p.grad?.array()).toEqual([3 * step, 3 * step])
      expect(held() - before).toBe(2)
    }
    const { grad } = p
    p.dispose()
    expect([grad?.isDisposed, p.grad]).toEqual([true, null])
    expect(held()).toBe(before)
  })
})

describe('dispose', () => {
  test('frees once', () => {
    const before = held()
    const t = zeros([4])
    expect(held() - before).toBe(1)
    const other = t.detach()
    t.dispose()
    t.dispose()
    expect([t.isDisposed, other.isDisposed]).toEqual([true, false])
    expect(held() - before).toBe(1)
    other.dispose()
    expect(held()).toBe(before)
  })

  test('using frees at the end of its block', () => {
    const before = held()
    {
      using a = zeros([4])
      using b = a.add(1)
      expect(b.isDisposed).toBe(false)
    }
    // The tensor that stands for the number 1 went with the operation.
    expect(held()).toBe(before)
    let seen: Tensor | undefined
    expect(() => {
      using c = zeros([4])
      seen = c
      throw new Error('on purpose')
    }).toThrow('on purpose')
    expect(seen?.isDisposed).toBe(true)
  })

  test('a use afterwards says where it was disposed and where it was used', () => {
    const t = zeros([2, 3])
    const disposed = placeBelow(1)
    t.dispose()
    const used = placeBelow(1)
    expect(() => t.dataNow()).toThrow(
      `tensor: [2, 3] was used after it was disposed at ${disposed}; return it from its scope, or dispose it later (at ${used})`,
    )
    expect(() => t.exp()).toThrow(`disposed at ${disposed};`)
    expect(t.disposedAt).toBe(disposed)
    t.label = 'hidden'
    expect(() => t.dataNow()).toThrow(/^hidden: \[2, 3\] was used after/)
  })

  test('a use after its scope names the scope', () => {
    let t = zeros([1])
    const place = placeBelow(1)
    scope(() => {
      t = zeros([2])
    })
    expect(() => t.exp()).toThrow(`disposed at ${place};`)
  })

  test('what shares a buffer frees it when the last one goes', () => {
    const ways: ((t: Tensor) => Tensor)[] = [
      (t) => t.reshape([4]),
      (t) => t.detach(),
      (t) => t.alias([4, 1]),
      (t) => t.unsqueeze(0),
    ]
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...ways), { minLength: 1, maxLength: 5 }), fc.nat(), (chain, order) => {
        const before = held()
        const all = [tensor([1, 2, 3, 4])]
        for (const way of chain) all.push(noGrad(() => way(all[all.length - 1])))
        expect(held() - before).toBe(1)
        while (all.length > 0) {
          const [last] = all.splice(order % all.length, 1)
          expect(Array.from(last.dataNow())).toEqual([1, 2, 3, 4])
          last.dispose()
          expect(held() - before).toBe(all.length > 0 ? 1 : 0)
        }
      }),
      { numRuns: 200 },
    )
  })
})

describe('assign', () => {
  test('takes the value over and frees the old one', async () => {
    const before = held()
    const p = zeros([2], { requiresGrad: true })
    const kept = p.detach()
    const value = ones([2])
    p.assign(value)
    expect(value.isDisposed).toBe(true)
    expect(await p.array()).toEqual([1, 1])
    expect(await kept.array()).toEqual([0, 0])
    expect(held() - before).toBe(2)
    kept.dispose()
    p.assign(ones([2]))
    p.assign(p)
    expect(await p.array()).toEqual([1, 1])
    expect(held() - before).toBe(1)
    p.dispose()
    expect(held()).toBe(before)
  })

  test('a value from a scope outlives it as the parameter does', async () => {
    const p = zeros([2], { requiresGrad: true })
    scope(() => noGrad(() => p.assign(p.add(1))))
    expect(await p.array()).toEqual([1, 1])
    p.dispose()
  })

  test('refuses another shape, dtype or device, and results', () => {
    const p = zeros([2], { requiresGrad: true })
    expect(() => p.assign(zeros([3]))).toThrow('assign: expected [2] float32 on cpu, got [3] float32 on cpu')
    expect(() => p.assign(zeros([2], { dtype: 'int32' }))).toThrow(/got \[2\] int32 on cpu/)
    expect(() => p.assign(zeros([2], { device: 'reference' }))).toThrow(/got \[2\] float64 on reference/)
    expect(() => p.add(1).assign(zeros([2]))).toThrow(/add's result is a value, only leaves are assigned/)
  })
})

describe('checkLeaks', () => {
  test('with a function names what it left and the line that made it', () => {
    const other = zeros([7])
    let place = ''
    const leaks = checkLeaks(() => {
      scope(() => zeros([8]))
      zeros([1]).dispose()
      place = placeBelow(1)
      zeros([2, 3])
    })
    // What the scope returns is let out of it, and so is left as well.
    expect(leaks.map(({ shape }) => shape)).toEqual([[8], [2, 3]])
    expect(leaks[1]).toMatchObject({ shape: [2, 3], dtype: 'float32', device: 'cpu', bytes: 24, place })
    expect(leaks[1].stack).toContain('lifetime.test.ts')
    other.dispose()
  })

  test('finds nothing when a scope takes everything', () => {
    const p = ones([2], { requiresGrad: true })
    expect(
      checkLeaks(() =>
        scope(() => {
          p.square().sum()
        }),
      ),
    ).toEqual([])
  })

  test('without one names all that no scope owns', () => {
    const t = zeros([2, 3, 5])
    const mine = () => checkLeaks().filter(({ shape }) => shape === t.shape)
    expect(mine()).toHaveLength(1)
    t.dispose()
    expect(mine()).toHaveLength(0)
  })
})

describe('garbage collection', () => {
  v8.setFlagsFromString('--expose_gc')
  const collect = vm.runInNewContext('gc') as () => void

  /** Collects until `done`, giving finalizers time to run; at most two seconds. */
  async function collectUntil(done: () => boolean): Promise<void> {
    for (let round = 0; round < 100 && !done(); round++) {
      collect()
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }

  test('frees the tensors that the program forgot', async () => {
    // What earlier tests forgot goes first.
    let rounds = 0
    await collectUntil(() => ++rounds > 5)
    const before = held()
    const kept = zeros([1])
    const forget = () => {
      for (let i = 0; i < 50; i++) randn([10]).add(kept).sum()
    }
    forget()
    expect(held() - before).toBe(151)
    await collectUntil(() => held() - before <= 1)
    expect(held() - before).toBe(1)
    expect(await kept.array()).toEqual([0])
  })

  test('frees what a loop forgot that waits for nothing but values in memory', async () => {
    const before = held()
    for (let i = 1; i <= 1000; i++) {
      await randn([10]).sum().item()
      if (i % 100 === 0) collect()
    }
    // Without a wait for a timer all 2000 would be here, as promises that are kept do not end a job.
    expect(held() - before).toBeLessThan(1000)
  })

  test('what was disposed leaves nothing on the heap, however seldom the collector comes', () => {
    const kept = zeros([1])
    const make = (count: number) => {
      for (let i = 0; i < count; i++) scope(() => kept.add(kept)).dispose()
    }
    make(1000)
    collect()
    const before = process.memoryUsage().heapUsed
    make(20_000)
    collect()
    // A weak reference to each would take 3 MB.
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(500_000)
  })

  test('frees what an object held that made it in its constructor', async () => {
    class Layer {
      readonly weight: Tensor
      constructor() {
        this.weight = randn([10], { requiresGrad: true })
      }
    }
    const before = held()
    const forget = () => {
      for (let i = 0; i < 20; i++) new Layer().weight.square().sum().backward()
    }
    forget()
    expect(held() - before).toBeGreaterThanOrEqual(60)
    await collectUntil(() => held() <= before)
    expect(held()).toBeLessThanOrEqual(before)
  })
})
