/** The mixture of experts: against loops and finite differences, its routing, its two losses, its settings. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { noGrad, scope, softmax, type Tensor, tensor } from '../../src/index.ts'
import {
  FeedForward,
  type HostTensor,
  loadBalancingLoss,
  MixtureOfExperts,
  type MixtureOfExpertsConfigInput,
  MoE,
  mixtureOfExpertsConfig,
  type Routing,
  routerZLoss,
} from '../../src/nn/index.ts'
import { RUNS, SEED } from '../check/runs.ts'
import type { Values } from './attention-oracle.ts'
import { expertsOracle, loadBalanceOracle, route, zLossOracle } from './experts-oracle.ts'
import { gradcheckModule, input, largestGap, randomise } from './module-check.ts'

/** Both sides compute in float64: sums of at most 10 products of values up to 10, some hundred roundings of 1.1e-16. */
const ROUNDINGS = 1e-11

const small = { modelWidth: 3, count: 4, active: 2, width: 2 } as const

function layerOf(settings: Partial<MixtureOfExpertsConfigInput> = {}, seed = 1, device = 'reference') {
  const layer = new MixtureOfExperts({ ...small, ...settings }, { device })
  // Wide enough that the router decides.
  randomise(layer, seed, 1)
  return layer
}

async function valuesOf(layer: MixtureOfExperts): Promise<Values> {
  return Object.fromEntries([...(await layer.stateDict())].map(([name, { data }]) => [name, data]))
}

async function rowsOf(x: Tensor): Promise<number[][]> {
  const C = x.shape.at(-1)!
  const data = Array.from(await x.data())
  return Array.from({ length: data.length / C }, (_, i) => data.slice(i * C, (i + 1) * C))
}

/** Runs a layer and gives its routing, which lives until the caller's scope ends. */
function routingOf(layer: MixtureOfExperts, x: Tensor): Routing {
  const seen: Routing[] = []
  layer.forward(x, { routed: (routing) => seen.push(routing) })
  expect(seen.length).toBe(1)
  return seen[0]
}

const settings: fc.Arbitrary<MixtureOfExpertsConfigInput> = fc
  .record({
    modelWidth: fc.integer({ min: 1, max: 4 }),
    count: fc.integer({ min: 1, max: 5 }),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
    width: fc.integer({ min: 1, max: 3 }),
    sharedWidth: fc.integer({ min: 0, max: 2 }),
    normalise: fc.boolean(),
  })
  .map(({ share, ...rest }) => ({ ...rest, active: 1 + Math.round(share * (rest.count - 1)) }))

const seeds = fc.integer({ min: 0, max: 1000 })

describe('the mixture, for every number of experts', () => {
  it('computes what the loops compute, on reference and cpu', async () => {
    const seen = new Set<string>()
    await fc.assert(
      fc.asyncProperty(settings, fc.integer({ min: 1, max: 6 }), seeds, async (given, T, seed) => {
        using x = input([2, T, given.modelWidth], seed + 1)
        const rows = await rowsOf(x)
        for (const [device, bound] of [
          ['reference', ROUNDINGS],
          // The same in float32, where a rounding is 6e-8; routing that is closer than that may differ.
          ['cpu', 1e-4],
        ] as const) {
          const layer = layerOf(given, seed, device)
          const values = await valuesOf(layer)
          const expected = rows.flatMap((row) => expertsOracle(row, values, layer.config))
          using on = tensor(device === 'cpu' ? Float32Array.from(await x.data()) : await x.data(), {
            shape: x.shape,
            device,
          })
          using y = noGrad(() => scope(() => layer.forward(on)))
          expect(y.shape).toEqual(x.shape)
          expect(largestGap(await y.data(), expected)).toBeLessThan(bound)
          layer.dispose()
        }
        seen.add(`${given.active === given.count} ${given.normalise} ${given.sharedWidth! > 0}`)
      }),
      { numRuns: RUNS, seed: SEED },
    )
    expect(seen.size).toBe(8)
  })

  it('has the balance and the z-loss that the loops count, over one layer and over two', async () => {
    await fc.assert(
      fc.asyncProperty(settings, fc.integer({ min: 1, max: 6 }), seeds, async (given, T, seed) => {
        const layers = [layerOf(given, seed), layerOf(given, seed + 1)]
        using x = input([2, T, given.modelWidth], seed + 2)
        const rows = await rowsOf(x)
        const tokens = []
        for (const layer of layers) {
          const values = await valuesOf(layer)
          tokens.push(rows.map((row) => route(row, values, layer.config)))
        }
        for (const [count, expected] of [tokens[0], tokens.flat()].entries()) {
          const [balance, z] = scope(() => {
            const routings = layers.slice(0, count + 1).map((layer) => routingOf(layer, x))
            return [loadBalancingLoss(routings), routerZLoss(routings)]
          })
          expect(Math.abs((await balance.item()) - loadBalanceOracle(expected))).toBeLessThan(ROUNDINGS)
          expect(Math.abs((await z.item()) - zLossOracle(expected))).toBeLessThan(ROUNDINGS)
          balance.dispose()
          z.dispose()
        }
        for (const layer of layers) layer.dispose()
      }),
      { numRuns: RUNS, seed: SEED },
    )
  })

  it('with k = E is the mixture of all, weighed by the probabilities', async () => {
    const layer = layerOf({ active: 4 }, 3)
    using x = input([5, 3], 4)
    const state = await layer.stateDict()
    const part = (name: string, e: number, shape: number[]): HostTensor => {
      const size = shape[0] * shape[1]
      const data = Float64Array.from(state.get(name)!.data.slice(e * size, (e + 1) * size))
      return { dtype: 'float64', shape, data }
    }
    using expected = noGrad(() =>
      scope(() => {
        const p = softmax(layer.router.forward(x))
        const terms = Array.from({ length: 4 }, (_, e) => {
          const expert = new FeedForward(3, 2, { device: 'reference' })
          expert.loadStateDict(
            new Map([
              ['gateProjection.weight', part('gateProjections', e, [2, 3])],
              ['upProjection.weight', part('upProjections', e, [2, 3])],
              ['downProjection.weight', part('downProjections', e, [3, 2])],
            ]),
          )
          return expert.forward(x).mul(p.slice([null, [e, e + 1]]))
        })
        return terms.reduce((a, b) => a.add(b))
      }),
    )
    using y = noGrad(() => scope(() => layer.forward(x)))
    expect(largestGap(await y.data(), await expected.data())).toBeLessThan(ROUNDINGS)
    layer.dispose()
  })
})

describe('the gradient', () => {
  it.each<[string, Partial<MixtureOfExpertsConfigInput>]>([
    ['the defaults', {}],
    ['probabilities as they are', { normalise: false }],
    ['one expert of four', { normalise: false, active: 1 }],
    ['a shared expert', { sharedWidth: 2 }],
  ])('is what finite differences measure, for x and every parameter: %s', async (_what, given) => {
    const layer = layerOf(given, 5)
    using x = input([6, 3], 6)
    const { elements } = await gradcheckModule(layer, [x], (moved) => layer.forward(moved))
    expect(elements).toBe(x.size + layer.parameterCount)
    scope(() => layer.forward(x).square().sum().backward())
    for (const [name, { grad }] of layer.namedParameters()) {
      const largest = grad ? largestGap(await grad.data(), new Float64Array(grad.size)) : 0
      if (!(largest > 0)) expect.fail(`${name} has no gradient`)
    }
    layer.dispose()
  })

  it('of both losses is what finite differences measure, for the router', async () => {
    const layer = layerOf({}, 7)
    using x = input([6, 3], 8)
    for (const loss of [loadBalancingLoss, routerZLoss]) {
      await gradcheckModule(layer, [x], (moved) => loss([routingOf(layer, moved)]))
      scope(() => loss([routingOf(layer, x)]).backward())
      const largest = largestGap(await layer.router.weight.grad!.data(), new Float64Array(12))
      expect(largest).toBeGreaterThan(1e-3)
      layer.router.weight.grad!.dispose()
      layer.router.weight.grad = null
    }
    layer.dispose()
  })
})

describe('the load-balancing loss', () => {
  /** A layer whose router gives token i, a row of the identity, logits that favour experts i, i + 1 and so on, mod 4. */
  async function balance(active: number, tokens: number[][], sharpness: number): Promise<number> {
    const layer = layerOf({ modelWidth: 4, active }, 9)
    const state = await layer.stateDict()
    const data = Float64Array.from({ length: 16 }, (_, i) => -sharpness * ((Math.floor(i / 4) - (i % 4) + 4) % 4))
    layer.loadStateDict(new Map([...state, ['router.weight', { dtype: 'float64', shape: [4, 4], data }]]))
    using x = tensor(Float64Array.from(tokens.flat()), { shape: [tokens.length, 4], device: 'reference' })
    using loss = scope(() => noGrad(() => loadBalancingLoss([routingOf(layer, x)])))
    layer.dispose()
    return loss.item()
  }

  const one = (i: number) => [0, 1, 2, 3].map((j) => (i === j ? 1 : 0))

  it('of a balanced router is k, and more when few experts get most', async () => {
    for (const k of [1, 2, 3, 4]) {
      expect(Math.abs((await balance(k, [0, 1, 2, 3].map(one), 0.5)) - k)).toBeLessThan(ROUNDINGS)
    }
    // All tokens on one expert, with all the probability: E.
    expect(Math.abs((await balance(1, [one(1), one(1)], 50)) - 4)).toBeLessThan(ROUNDINGS)
    expect(await balance(2, [one(1), one(1), one(2), one(1)], 0.5)).toBeGreaterThan(2.1)
  })
})

describe('MixtureOfExperts', () => {
  it('is MoE too, and names its parameters', () => {
    expect(MoE).toBe(MixtureOfExperts)
    const layer = new MoE({ ...small, sharedWidth: 5 })
    expect([...layer.namedTensors()].map(([name, { shape }]) => `${name} [${shape.join(', ')}]`)).toEqual([
      'router.weight [4, 3]',
      'gateProjections [4, 2, 3]',
      'upProjections [4, 2, 3]',
      'downProjections [4, 3, 2]',
      'shared.gateProjection.weight [5, 3]',
      'shared.upProjection.weight [5, 3]',
      'shared.downProjection.weight [3, 5]',
      'sharedGate.weight [1, 3]',
    ])
    layer.dispose()
  })

  it('takes the first of experts that tie', async () => {
    const layer = layerOf({ normalise: false }, 10)
    const state = await layer.stateDict()
    const even: HostTensor = { dtype: 'float64', shape: [4, 3], data: new Float64Array(12) }
    layer.loadStateDict(new Map([...state, ['router.weight', even]]))
    using x = input([2, 3], 11)
    const { chosen, probability } = scope(() => routingOf(layer, x)) as unknown as Routing
    expect([...(await chosen.data())]).toEqual([1, 1, 0, 0])
    expect([...(await probability.data())]).toEqual([0.25, 0.25, 0.25, 0.25])
    chosen.dispose()
    probability.dispose()
    layer.dispose()
  })

  it('fills in defaults', () => {
    const defaults = { ...small, sharedWidth: 0, normalise: true, initStd: 0.02, outputStd: 0.02 }
    expect(mixtureOfExpertsConfig(small)).toEqual(defaults)
    expect(mixtureOfExpertsConfig({ ...small, initStd: 0.1 })).toEqual({ ...defaults, initStd: 0.1, outputStd: 0.1 })
  })

  it.each<[object, RegExp]>([
    [{ active: 5 }, /^MixtureOfExperts: active must be at most count, got 5 of 4 experts/],
    [{ count: 0 }, /count must be a positive integer, got 0/],
    [{ width: undefined }, /width must be given/],
    [{ sharedWidth: -1 }, /sharedWidth must be an integer from 0 up, got -1/],
    [{ normalize: true }, /there is no setting 'normalize'; did you mean 'normalise'\?/],
  ])('refuses %j', (given, message) => {
    expect(() => new MixtureOfExperts({ ...small, ...given })).toThrow(message)
  })

  it('refuses an input of another width', () => {
    const layer = layerOf()
    using x = input([2, 4], 12)
    expect(() => layer.forward(x)).toThrow(/^MixtureOfExperts: x must be \[..., C\] = \[2, 3\], got \[2, 4\]/)
    layer.dispose()
  })
})
