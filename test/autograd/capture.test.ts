/** `capture`: a replay gives the bits of the eager run, keeps no more memory, and notices what changed around it. */
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import {
  type Captured,
  capture,
  checkLeaks,
  defaultDevice,
  dropout,
  manualSeed,
  noGrad,
  rand,
  randn,
  scope,
  type Tensor,
  tensor,
} from '../../src/index.ts'
import { Transformer } from '../../src/nn/index.ts'
import { AdamW, clipGradNorm, decayGroups, Muon, muonGroups, SGD } from '../../src/optim/index.ts'
import { planSlots } from '../../src/tensor/plan.ts'

const made: Captured<never[], unknown>[] = []
/** Captured, and freed after the test. */
function captured<Given extends unknown[], R>(fn: (...given: Given) => R): Captured<Given, R> {
  const program = capture(fn)
  made.push(program as unknown as Captured<never[], unknown>)
  return program
}
afterEach(() => {
  for (const program of made.splice(0)) program.dispose()
})

const optimizers = {
  sgd: (model: Transformer) => new SGD(model.parameters(), { lr: 0.1, momentum: 0.9 }),
  adamw: (model: Transformer) => new AdamW(decayGroups(model, 0.1), { lr: 1e-2 }),
  muon: (model: Transformer) => new Muon(muonGroups(model), { lr: 0.02 }),
} as const

/** Losses of a few training steps, with a rate that changes and batches that differ. */
async function losses(name: keyof typeof optimizers, isCaptured: boolean, dropoutRate: number): Promise<number[]> {
  manualSeed(3)
  const model = new Transformer({
    vocabularySize: 11,
    width: 8,
    layers: 1,
    heads: 2,
    gate: 'elementwise',
    dropout: dropoutRate,
  })
  const optimizer = optimizers[name](model)
  const body = (tokens: Tensor, targets: Tensor) => {
    const loss = model.loss(tokens, targets, { training: true })
    loss.backward()
    const norm = clipGradNorm(model.parameters(), 1)
    optimizer.step()
    optimizer.zeroGrad()
    return { loss, norm }
  }
  const program = isCaptured ? captured(body) : undefined
  const found: number[] = []
  for (let step = 0; step < 5; step++) {
    optimizer.lr = 0.02 / (1 + step)
    const ids = (shift: number) =>
      tensor(
        Int32Array.from({ length: 12 }, (_, i) => (7 * i + step + shift) % 11),
        { shape: [2, 6] },
      )
    const [tokens, targets] = [ids(0), ids(1)]
    const { loss, norm } = program ? program(tokens, targets) : scope(() => body(tokens, targets))
    found.push(await loss.item(), await norm.item())
    for (const t of [tokens, targets, loss, norm]) t.dispose()
  }
  const weights = await Promise.all(model.parameters().map((p) => p.data()))
  optimizer.dispose()
  model.dispose()
  return [...found, ...weights.flatMap((w) => [...w])]
}

describe('capture', () => {
  test.each(['sgd', 'adamw', 'muon'] as const)('training with %s gives the bits of the eager run', async (name) => {
    const [eager, replayed] = [await losses(name, false, 0), await losses(name, true, 0)]
    expect(replayed).toEqual(eager)
    // Five different losses, so that a replay of the first step would be seen.
    expect(new Set(eager.slice(0, 10)).size).toBe(10)
  })

  test('dropout draws its masks anew at every replay, in the order of the eager run', async () => {
    expect(await losses('adamw', true, 0.5)).toEqual(await losses('adamw', false, 0.5))
  })

  test('random tensors are drawn anew', async () => {
    const x = tensor([1, 2])
    const noisy = captured((t: Tensor) => t.add(randn([2])).mul(rand([2])))
    manualSeed(5)
    const replays: string[] = []
    for (let i = 0; i < 3; i++) {
      const y = noisy(x)
      replays.push(String(y))
      y.dispose()
    }
    manualSeed(5)
    expect(replays).toEqual([0, 1, 2].map(() => String(scope(() => x.add(randn([2])).mul(rand([2]))))))
    x.dispose()
  })

  test('a composition of random operations gives the bits of the eager run, at every replay', () => {
    const steps: ((a: Tensor, b: Tensor) => Tensor)[] = [
      (a, b) => a.add(b),
      (a, b) => a.mul(b.sigmoid()),
      (a) => a.transpose(),
      (a, b) => a.matmul(b),
      (a) => a.softmax(-1),
      (a) => a.sum({ axis: 0, keepdim: true }).expand([3, 3]),
      (a) =>
        a
          .reshape([9])
          .slice([[0, 9]])
          .reshape([3, 3]),
      (a, b) => a.maximum(b).sub(1),
    ]
    const plans = fc.array(fc.record({ step: fc.nat({ max: steps.length - 1 }), with: fc.nat() }), {
      minLength: 1,
      maxLength: 12,
    })
    const values = fc.array(fc.integer({ min: -8, max: 8 }), { minLength: 9, maxLength: 9 })
    fc.assert(
      fc.property(plans, fc.array(values, { minLength: 2, maxLength: 4 }), (plan, inputs) => {
        const body = (x: Tensor) => {
          const seen = [x]
          for (const { step, with: other } of plan) seen.push(steps[step](seen.at(-1)!, seen[other % seen.length]))
          return [seen.at(-1)!, seen[Math.floor(seen.length / 2)]]
        }
        const program = capture(body)
        for (const list of inputs) {
          scope(() => {
            const x = tensor(list.map((v) => v / 8)).reshape([3, 3])
            expect(program(x).map(String)).toEqual(body(x).map(String))
          })
        }
        program.dispose()
      }),
      { numRuns: 200 },
    )
  })

  test('results are tensors of their own: a later replay does not change an earlier one', () => {
    const square = captured((x: Tensor) => x.square())
    const [a, b] = [tensor([1, 2]), tensor([3, 4])]
    const results = [square(a), square(a), square(b)]
    expect(results.map(String)).toEqual(['[1. 4.]', '[1. 4.]', '[ 9. 16.]'])
    for (const t of [a, b, ...results]) t.dispose()
  })

  test('what is kept of results stays as it was: after replays, in another capture, and when the program is gone', () => {
    const action = fc.constantFrom('keep all', 'keep one', 'feed back', 'read by another program')
    const body = (x: Tensor) => {
      const next = x.mul(0.5).add(1)
      return [next, next.reshape([3, 1]), next.sum()]
    }
    fc.assert(
      fc.property(fc.array(action, { minLength: 1, maxLength: 12 }), (actions) => {
        scope(() => {
          const step = captured(body)
          const kept: [Tensor, number[]][] = []
          const keep = (got: readonly Tensor[], expected: readonly Tensor[]) => {
            for (const [i, t] of got.entries()) kept.push([t, Array.from(expected[i].dataNow())])
          }
          let input = tensor([0, 1, 2])
          for (const [i, what] of actions.entries()) {
            const [got, expected] = [step(input), body(input)]
            input = what === 'feed back' ? got[0] : tensor([i, 2 * i, 3 * i])
            if (what === 'keep one') for (const t of got.splice(1)) t.dispose()
            keep(got, expected)
            if (what !== 'read by another program') continue
            const reader = captured(() => [got[0].add(0)])
            keep(reader(), expected)
            keep(reader(), expected)
            step(input)
            keep(reader(), expected)
          }
          step.dispose()
          for (const [t, values] of kept) expect(Array.from(t.dataNow())).toEqual(values)
        })
      }),
      { numRuns: 200 },
    )
  })

  test('an input or an outside tensor may be a result', () => {
    const w = tensor([5])
    const both = captured((x: Tensor) => [x, w, x.add(w)])
    const x = tensor([1])
    for (let i = 0; i < 3; i++) {
      const results = both(x)
      expect(results.map(String)).toEqual(['[1.]', '[5.]', '[6.]'])
      for (const t of results) t.dispose()
    }
    expect(String(w)).toBe('[5.]')
    w.dispose()
    x.dispose()
  })

  test('another shape, another plain argument and noGrad are programs of their own', () => {
    let runs = 0
    const scaled = captured((x: Tensor, { factor }: { factor: number }) => {
      runs++
      return x.mul(factor)
    })
    const [a, b] = [tensor([1, 2]), tensor([1, 2, 3])]
    const show = (x: Tensor, factor: number) => scope(() => String(scaled(x, { factor })))
    expect([show(a, 2), show(a, 2), show(a, 3), show(b, 2), show(a, 2)]).toEqual([
      ...['[2. 4.]', '[2. 4.]', '[3. 6.]', '[2. 4. 6.]', '[2. 4.]'],
    ])
    expect(runs).toBe(3)
    noGrad(() => show(a, 2))
    expect(runs).toBe(4)
    a.dispose()
    b.dispose()
  })

  test('arguments that share a buffer are told apart from those that do not', () => {
    const difference = captured((x: Tensor, y: Tensor) => x.sub(y))
    const [a, b] = [tensor([1]), tensor([5])]
    const show = (x: Tensor, y: Tensor) => scope(() => String(difference(x, y)))
    expect([show(a, a), show(a, b), show(b, a), show(b, b)]).toEqual(['[0.]', '[-4.]', '[4.]', '[0.]'])
    a.dispose()
    b.dispose()
  })

  test('a parameter that was given another value from outside is noticed', () => {
    const w = tensor([2], { requiresGrad: true })
    const kept = w.detach()
    let runs = 0
    const product = captured((x: Tensor) => {
      runs++
      return x.mul(w)
    })
    const x = tensor([3])
    const show = () => scope(() => String(product(x)))
    expect([show(), show()]).toEqual(['[6.]', '[6.]'])
    // The old buffer lives on in `kept`, so only its being superseded tells.
    w.assign(tensor([10]))
    expect([show(), show()]).toEqual(['[30.]', '[30.]'])
    expect(runs).toBe(2)
    for (const t of [w, kept, x]) t.dispose()
  })

  test('a replay does not change what shares a parameter’s value', () => {
    const w = tensor([2], { requiresGrad: true })
    const optimizer = new SGD([w], { lr: 1 })
    const step = captured((x: Tensor) => {
      const loss = x.mul(w).sum()
      loss.backward()
      optimizer.step()
      optimizer.zeroGrad()
      return loss
    })
    const x = tensor([1])
    for (let i = 0; i < 3; i++) step(x).dispose()
    const kept = w.detach()
    for (let i = 0; i < 2; i++) step(x).dispose()
    expect([String(kept), String(w)]).toEqual(['[-1.]', '[-3.]'])
    optimizer.dispose()
    for (const t of [w, kept, x]) t.dispose()
  })

  test('a tensor that is left behind is named', () => {
    const w = tensor([2], { requiresGrad: true })
    const x = tensor([3])
    const forgets = captured((t: Tensor) => {
      const y = t.mul(w).sum()
      y.backward()
      return y
    })
    expect(() => forgets(x)).toThrow(/capture: the function leaves 1 tensors behind .*of sizes \[1\].*zeroGrad/)
    for (const t of [w, x]) t.dispose()
  })

  test('what it cannot take is refused by name', () => {
    const any = captured((..._given: unknown[]) => tensor([1]))
    expect(() => any({ now: new Date() })).toThrow(/the argument\[0\]\.now is a Date; .* close over anything else/)
    expect(() => any(() => 1)).toThrow(/the argument\[0\] is a function/)
    const later = captured(async (x: Tensor) => x)
    const x = tensor([1])
    expect(() => later(x)).toThrow(/returned a promise/)
    x.dispose()
  })

  test('replays hold the number of buffers constant, and dispose gives all back', () => {
    const before = defaultDevice().statistics()
    const w = tensor([1, 2, 3, 4], { shape: [2, 2] })
    const program = capture((x: Tensor) => x.matmul(w).softmax(-1).matmul(w).sum())
    const x = tensor([1, 2, 3, 4], { shape: [2, 2] })
    program(x).dispose()
    const after = defaultDevice().statistics()
    for (let i = 0; i < 20; i++) program(x).dispose()
    expect(defaultDevice().statistics()).toEqual(after)
    expect(checkLeaks(() => program(x).dispose())).toEqual([])
    program.dispose()
    w.dispose()
    x.dispose()
    expect(defaultDevice().statistics()).toEqual(before)
  })

  test('explain names launches, shapes and the plan', () => {
    const program = captured((x: Tensor) => x.exp().log().exp().sum())
    const x = tensor([1, 2, 3])
    program(x).dispose()
    const text = program.explain()
    expect(text).toContain('program on cpu: 2 launches, of 4 before fusion')
    expect(text).toMatch(/ {2}inputs: \[3\] float32\n {2}results: \[\] float32/)
    expect(text).toContain('launches that run as JavaScript: 0 (none)')
    expect(text).toContain('temporaries: 2 of 16 B, in 2 slots of 16 B')
    expect(text).toContain('0  b0[3] = exp > log > exp(b1), fused; 24 B')
    expect(text).toContain('1  b2[1] = sumAxis(b0) over 1 x 1 x 1; 16 B')
    x.dispose()
  })

  test('dropout keeps its share at replays', () => {
    const x = tensor(new Float32Array(400).fill(1))
    const masked = captured((t: Tensor) => dropout(t, 0.25).sum())
    const sums = Array.from({ length: 6 }, () => scope(() => Number(String(masked(x)))))
    expect(new Set(sums).size).toBeGreaterThan(3)
    // 400 draws of 1/0.75 with probability 0.75: mean 400, standard deviation 400^0.5 (0.25 / 0.75)^0.5 = 11.5; 6 of them.
    for (const sum of sums) expect(Math.abs(sum - 400)).toBeLessThan(70)
    x.dispose()
  })
})

test('planSlots: values whose lives overlap never share, and every value fits', () => {
  const value = fc
    .record({
      bytes: fc.nat({ max: 50 }),
      kind: fc.constantFrom('f', 'i'),
      a: fc.nat({ max: 20 }),
      b: fc.nat({ max: 20 }),
    })
    .map(({ a, b, ...rest }) => ({ ...rest, first: Math.min(a, b), last: Math.max(a, b) }))
  fc.assert(
    fc.property(fc.array(value, { maxLength: 30 }), fc.boolean(), (drawn, isInPlace) => {
      // Each may be written over all values of which its step is the last reader.
      const values = drawn.map((v) => ({
        ...v,
        overwrites: isInPlace ? drawn.flatMap((w, j) => (w.last === v.first && w.first < w.last ? [j] : [])) : [],
      }))
      const { slots, sizes } = planSlots(values)
      values.forEach((v, i) => {
        expect(sizes[slots[i]].kind).toBe(v.kind)
        expect(sizes[slots[i]].bytes).toBeGreaterThanOrEqual(v.bytes)
        values.slice(0, i).forEach((w, j) => {
          if (slots[i] !== slots[j]) return
          const isOver = (over: typeof v, at: number) => over.overwrites.includes(at)
          expect(w.last < v.first || v.last < w.first || isOver(v, j) || isOver(w, i)).toBe(true)
        })
      })
      const most = (kind: string, time: number) =>
        values.filter((v) => v.kind === kind && v.first <= time && time <= v.last).length
      const needed = ['f', 'i'].map((kind) => Math.max(...Array.from({ length: 21 }, (_, t) => most(kind, t))))
      if (!isInPlace) expect(sizes.length).toBeGreaterThanOrEqual(needed[0] + needed[1])
      expect(sizes.length).toBeLessThanOrEqual(values.length)
    }),
    { numRuns: 300 },
  )
})
