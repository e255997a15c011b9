/** Checkpointed functions against the same functions without. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { findDevice } from '../../src/device/registry.ts'
import {
  checkpoint,
  defaultGenerator,
  dropout,
  grad,
  manualSeed,
  matmul,
  noGrad,
  ones,
  rand,
  randn,
  scope,
  type Tensor,
  tensor,
} from '../../src/index.ts'

const held = () => findDevice('cpu').statistics().buffers

type Wrap = (fn: (...inputs: Tensor[]) => Tensor, ...inputs: Tensor[]) => Tensor
const direct: Wrap = (fn, ...inputs) => fn(...inputs)

/** Value and gradients of a program, with a fresh set of parameters. */
async function results(seed: number, program: (parameters: Tensor[]) => Tensor): Promise<number[][]> {
  manualSeed(seed)
  const parameters = [0, 1, 2].map(() => randn([3, 3], { device: 'reference', requiresGrad: true }))
  const y = program(parameters)
  y.backward()
  const all = await Promise.all([y, ...parameters.map((p) => p.grad)].map((t) => t?.data()))
  return all.map((data) => Array.from(data ?? []))
}

describe('checkpoint', () => {
  test('has the values and gradients of the function itself, bit for bit', async () => {
    type Step = (wrap: Wrap, h: Tensor, parameters: Tensor[]) => Tensor
    const steps: Record<string, Step> = {
      input: (wrap, h) => wrap((h) => h.tanh().mul(h), h),
      closure: (wrap, h, [, w]) => wrap((h) => matmul(h, w).sigmoid(), h),
      both: (wrap, h, [, w, v]) => wrap((h, w) => matmul(h, w).add(v).tanh(), h, w),
      random: (wrap, h) => wrap((h) => dropout(h, 0.4).add(rand(h.shape, { device: 'reference' })), h),
      nested: (wrap, h, [, w]) => wrap((h) => wrap((h) => dropout(matmul(h, w), 0.3).tanh(), h).mul(h), h),
      same: (wrap, h) => wrap((h) => h, h),
      outside: (_wrap, h) => dropout(h.add(1), 0.2),
    }
    const names = fc.array(fc.constantFrom(...Object.keys(steps)), { minLength: 1, maxLength: 6 })
    await fc.assert(
      fc.asyncProperty(names, fc.nat(1000), async (names, seed) => {
        const program = (wrap: Wrap) => (parameters: Tensor[]) =>
          names.reduce((h, name) => steps[name](wrap, h, parameters), parameters[0]).sum()
        expect(await results(seed, program(checkpoint))).toEqual(await results(seed, program(direct)))
      }),
      { numRuns: 200 },
    )
  })

  test('has the second order of the function itself', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(1000), fc.boolean(), async (seed, nested) => {
        const program = (wrap: Wrap) => (parameters: Tensor[]) => {
          const [x, w] = parameters
          const inner = (h: Tensor) => wrap((h) => matmul(h, w).sin(), h)
          const slope = grad((x: Tensor) => (nested ? wrap(inner, x) : inner(x)).mul(x).sum())(x)
          return slope.square().sum()
        }
        const [expected, found] = [await results(seed, program(direct)), await results(seed, program(checkpoint))]
        // The same operations, though sums of gradients may come in another order: values up to a few hundred.
        found.flat().forEach((value, i) => {
          expect(Math.abs(value - expected.flat()[i])).toBeLessThanOrEqual(1e-12 * (1 + Math.abs(value)))
        })
        expect(expected.map((row) => row.length)).toEqual([1, 9, 9, 0])
      }),
      { numRuns: 200 },
    )
  })

  test('draws its random numbers again, and leaves the generator where it was', async () => {
    manualSeed(3)
    const x = ones([100], { requiresGrad: true })
    const y = checkpoint((x: Tensor) => dropout(x, 0.5), x)
    const after = randn([4])
    const state = defaultGenerator.state
    y.sum().backward()
    expect(defaultGenerator.state).toEqual(state)
    // Where the mask let x through, and only there, it lets the gradient through.
    expect(await x.grad?.array()).toEqual(await y.array())
    manualSeed(3)
    dropout(ones([100]), 0.5)
    expect(await randn([4]).array()).toEqual(await after.array())
  })

  test('holds nothing of the inside between the passes', () => {
    const layers = 10
    const heldAfter = (wrap: Wrap) => {
      const before = held()
      return scope(() => {
        const x = ones([16], { requiresGrad: true })
        let h: Tensor = x
        const inside = (h: Tensor) => h.mul(1.5).tanh().exp().log().sigmoid()
        for (let i = 0; i < layers; i++) h = wrap(inside, h)
        const count = held() - before
        h.sum().backward()
        return count
      })
    }
    // Without: five results and the constant of mul a layer, and x. With: one a layer, and x.
    expect(heldAfter(direct)).toBe(6 * layers + 1)
    expect(heldAfter(checkpoint)).toBe(layers + 1)
  })

  test('leaves nothing behind after the walk', () => {
    const x = ones([16], { requiresGrad: true })
    const before = held()
    scope(() =>
      checkpoint((x: Tensor) => x.tanh().exp(), x)
        .sum()
        .backward(),
    )
    expect(held() - before).toBe(1)
  })

  test('sends nothing back where nothing is tracked', () => {
    const y = checkpoint((x: Tensor) => x.mul(2), ones([2]))
    expect(y.isTracked).toBe(false)
    const x = ones([2], { requiresGrad: true })
    expect(noGrad(() => checkpoint((x: Tensor) => x.mul(2), x)).isTracked).toBe(false)
  })

  test('does not mind parameters that the function makes for itself', async () => {
    const x = tensor([2], { requiresGrad: true })
    const y = checkpoint((x: Tensor) => x.mul(tensor([5], { requiresGrad: true })), x)
    expect(y.node?.inputs).toEqual([x])
    y.sum().backward()
    expect(await x.grad?.array()).toEqual([5])
    // grad inside makes one of an untracked input.
    const w = tensor([3], { requiresGrad: true })
    const z = checkpoint((w: Tensor) => grad((c: Tensor) => c.square().mul(w).sum())(tensor([4])), w)
    z.sum().backward()
    expect(await w.grad?.array()).toEqual([8])
  })

  test('refuses what it cannot repeat', () => {
    const x = ones([2], { requiresGrad: true })
    expect(() => checkpoint((_x: Tensor) => 1 as unknown as Tensor, x)).toThrow(
      /checkpoint: the function must return a tensor, got number/,
    )
    expect(() => checkpoint((x: Tensor) => scope(() => x.mul(2).sum()), x)).toThrow(
      /checkpoint: the gradient flows through mul's result \[2\], which was disposed/,
    )
  })
})
